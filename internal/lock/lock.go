// Package lock takes the flock files by which the programs that work on a
// host's plugins keep out of each other's way: this supervisor, a second one
// started by mistake, the command line, and the existing plugin manager, which
// knows the same files (SPEC 1, RS-11).
//
// A plugin's name lock is held shared by who starts or stops it and
// exclusively by who replaces or removes it. Waiting for one polls, since a
// blocked flock(2) cannot be interrupted; it polls seldom enough to cost
// nothing. A lock ends with its holder, also by SIGKILL, and is not handed
// down to the programs the holder runs.
//
// Lock files are left in place. Some other program may remove one, so a lock
// counts only on the file that is at the path when it was taken.
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

// The wait between two tries grows from the first to the last.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 250 * time.Millisecond
)

// Shared takes the lock at path together with others that share it. It waits
// until no one holds it exclusively, or ctx ends; waited tells that it had to.
// waiting, if not nil, is called once when the wait begins. release lets go
// and may be called more than once; it is nil when there is an error.
//
// The file and its folder are made if they are not there.
func Shared(ctx context.Context, path string, waiting func()) (release func(), waited bool, err error) {
	return wait(ctx, path, false, waiting)
}

// Exclusive takes the lock at path for its holder alone, by the rules of Shared.
func Exclusive(ctx context.Context, path string, waiting func()) (release func(), waited bool, err error) {
	return wait(ctx, path, true, waiting)
}

func wait(ctx context.Context, path string, exclusive bool, waiting func()) (release func(), waited bool, err error) {
	for pauses := pause.NewDoubling(firstPause, lastPause); ; _ = pauses.Sleep(ctx) {
		if err := ctx.Err(); err != nil {
			return nil, waited, fmt.Errorf("lock %s: %w", path, err)
		}
		f, err := try(path, exclusive)
		if err == nil {
			return func() { _ = ReleaseFile(f) }, waited, nil
		}
		if !errors.Is(err, ErrHeld) {
			return nil, waited, fmt.Errorf("lock %s: %w", path, err)
		}
		if !waited && waiting != nil {
			waiting()
		}
		waited = true
	}
}

// try opens and locks the file at path, or fails with ErrHeld. A file that
// was removed or replaced while it was being locked is let go.
func try(path string, exclusive bool) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	access := os.O_RDONLY // is enough to share, and a read-only disk must not keep plugins down
	if exclusive {
		access = os.O_RDWR
	}
	for {
		f, err := os.OpenFile(path, access|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o640)
		if err != nil {
			return nil, err
		}
		if err := TryFile(f, exclusive); err != nil {
			f.Close()
			return nil, err
		}
		held, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, ReleaseFile(f))
		}
		if there, err := os.Lstat(path); err == nil && os.SameFile(held, there) {
			return f, nil
		}
		_ = ReleaseFile(f)
	}
}
