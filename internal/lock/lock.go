// Package lock takes the flock(2) locks that coordinate the programs which work on a
// host's plugins: this supervisor, a second one started by mistake, the command line,
// and the existing plugin manager, which uses the same files (SPEC 1, RS-11).
//
// A start or a stop holds a plugin's name lock shared, a change or a removal holds it
// exclusively. Waiting for a lock polls, since a blocked flock(2) cannot be
// interrupted; it polls rarely enough to cost nothing. A lock is released when its
// holder exits, also by SIGKILL, and the programs that the holder runs do not inherit
// it.
//
// Lock files are left in place. Another program may remove one, so a lock is valid
// only if its file is still at the path after it was locked.
package lock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/pause"
)

// The pause between two tries doubles from the first to the last.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 250 * time.Millisecond
)

// Shared takes the lock at path shared. It waits until no other open file holds it
// exclusively, or ctx ends; waited reports whether it had to. waiting, if not nil, is
// called once when the wait begins. release releases the lock and may be called more
// than once; it is nil when there is an error.
//
// The file and its folder are made if they do not exist.
func Shared(ctx context.Context, path string, waiting func()) (release func(), waited bool, err error) {
	return releaseFunc(Take(ctx, path, "", false, Hooks{Waiting: waiting}))
}

// Exclusive takes the lock at path exclusively, by the rules of Shared.
func Exclusive(ctx context.Context, path string, waiting func()) (release func(), waited bool, err error) {
	return releaseFunc(Take(ctx, path, "", true, Hooks{Waiting: waiting}))
}

func releaseFunc(h *Held, waited bool, err error) (release func(), _ bool, _ error) {
	if err != nil {
		return nil, waited, err
	}
	return h.Release, waited, nil
}

// Hooks are called while a lock is taken; each may be nil.
type Hooks struct {
	Opening func() // before each time that the file is opened
	Waiting func() // once, when the wait begins
}

// Held is a lock that was taken.
type Held struct{ f *os.File }

// Take takes the lock at path by the rules of Shared, exclusively or shared. Where the
// file does not exist and cannot be made, as on a full or read-only disk, it takes the
// lock of the folder standIn, unless that is "" (EV-28).
func Take(ctx context.Context, path, standIn string, exclusive bool, hooks Hooks) (h *Held, waited bool, err error) {
	for pauses := pause.NewDoubling(firstPause, lastPause); ; _ = pauses.Sleep(ctx) {
		if err := ctx.Err(); err != nil {
			return nil, waited, fmt.Errorf("lock %s: %w", path, err)
		}
		f, err := tryPath(path, exclusive, hooks.Opening)
		if err != nil && !errors.Is(err, ErrHeld) && standIn != "" && isMissing(path) {
			f, err = tryFolder(standIn, exclusive, err)
		}
		if err == nil {
			return &Held{f}, waited, nil
		}
		if !errors.Is(err, ErrHeld) {
			return nil, waited, fmt.Errorf("lock %s: %w", path, err)
		}
		if !waited && hooks.Waiting != nil {
			hooks.Waiting()
		}
		waited = true
	}
}

// Share turns an exclusive lock into a shared one, without waiting. The kernel
// releases a lock before it takes the other one: with an error, which may be
// ErrHeld, another program has taken it, and no lock is held until a later call
// succeeds.
func (h *Held) Share() error { return TryFile(h.f, false) }

// Release releases the lock. It may be called more than once.
func (h *Held) Release() { _ = ReleaseFile(h.f) }

// tryPath opens and locks the file at path, or fails with ErrHeld. It tries again when
// the file was removed or replaced while it was being locked. opening may be nil.
func tryPath(path string, exclusive bool, opening func()) (*os.File, error) {
	for {
		if opening != nil {
			opening()
		}
		f, err := openOrMake(path, exclusive)
		if err != nil {
			return nil, err
		}
		if err := TryFile(f, exclusive); err != nil {
			f.Close()
			return nil, err
		}
		err = CheckPlace(f, path)
		if err == nil {
			return f, nil
		}
		_ = ReleaseFile(f)
		if !errors.Is(err, ErrReplaced) {
			return nil, err
		}
	}
}

// openOrMake opens a lock file, and makes it and its folder if there is none. On most
// file systems a file opened for reading can be locked; on a read-only one it can only
// be opened so.
func openOrMake(path string, exclusive bool) (*os.File, error) {
	const flags = unix.O_NOFOLLOW | unix.O_NONBLOCK
	access := os.O_RDONLY
	if exclusive {
		access = os.O_RDWR
	}
	f, err := os.OpenFile(path, access|flags, 0)
	if errors.Is(err, unix.EROFS) {
		f, err = os.OpenFile(path, os.O_RDONLY|flags, 0)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	return os.OpenFile(path, access|os.O_CREATE|flags, 0o640)
}

func isMissing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}

// tryFolder locks a folder instead of a file that could not be made because of why.
func tryFolder(dir string, exclusive bool, why error) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, errors.Join(why, err)
	}
	if err := TryFile(f, exclusive); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
