// Package depot keeps files by the SHA-256 of their bytes in one folder.
//
// A file arrives under a temporary name, is digested on the way, and takes its
// own name only when all of it is on the disk and its owner decided to keep it.
// So what has a name is whole, and what has none is rubbish: left by a client
// that went away, a disk that was full, a process that was killed. Open and
// Sweep clear that away.
//
// The folder belongs to one process at a time, which a lock in it sees to; what
// two would clear away could be the other's.
package depot

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/pause"
)

var (
	// ErrTooLarge is when a source has more bytes than allowed.
	ErrTooLarge = errors.New("too large")
	// ErrFull is wrapped when the disk, a quota or a limit has no room left.
	ErrFull = errors.New("no room on the disk")
)

// patience is how long a process that ends may still hold the folder.
const patience = 2 * time.Second

// What is in the folder beside files with a digest for a name.
const (
	lockName = "lock"
	arriving = "arriving-" // and a random number
)

// Depot is an open folder. Its methods may be called by several goroutines at once.
type Depot struct {
	dir     string
	release func()
}

// Open opens the folder, creates it, readable by its owner alone, where there
// is none, and removes what had not arrived when the process before ended. The
// error wraps *lock.HeldError when another process has it and keeps it for a few
// seconds, or until ctx ends.
func Open(ctx context.Context, dir string) (*Depot, error) {
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = durable.FlushFolder(filepath.Dir(dir))
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	release, err := acquire(ctx, filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	d := &Depot{dir: dir, release: release}
	if err := d.remove(func(name string) bool { return strings.HasPrefix(name, arriving) }); err != nil {
		release()
		return nil, err
	}
	return d, nil
}

func acquire(ctx context.Context, path string) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		release, err = lock.TryExclusive(path)
		var held *lock.HeldError
		if !errors.As(err, &held) {
			return release, err
		}
		if pause.Sleep(ctx, 20*time.Millisecond) != nil {
			return nil, err
		}
	}
}

// Close lets the folder go. Files that still arrive are removed by the next Open.
func (d *Depot) Close() { d.release() }

// File opens the file with that digest for reading. The error wraps
// fs.ErrNotExist when there is none.
func (d *Depot) File(sha256 string) (*os.File, error) {
	path, err := d.path(sha256)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// Remove removes the file with that digest, if it is there.
func (d *Depot) Remove(sha256 string) error {
	path, err := d.path(sha256)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Sweep removes the files whose digests are not wanted. Nothing may arrive meanwhile.
func (d *Depot) Sweep(wanted map[string]bool) error {
	return d.remove(func(name string) bool { return isDigest(name) && !wanted[name] })
}

func (d *Depot) remove(doomed func(name string) bool) error {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return fmt.Errorf("list folder: %w", err)
	}
	for _, e := range entries {
		if !doomed(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(d.dir, e.Name())); err != nil {
			return fmt.Errorf("clear away: %w", err)
		}
	}
	return nil
}

// path is a file's; nothing but a digest names one, so none lies elsewhere.
func (d *Depot) path(sha256 string) (string, error) {
	if !isDigest(sha256) {
		return "", fmt.Errorf("%q is no digest: %w", sha256, fs.ErrNotExist)
	}
	return filepath.Join(d.dir, sha256), nil
}

func isDigest(name string) bool {
	sum, err := hex.DecodeString(name)
	return err == nil && len(sum) == 32 && strings.ToLower(name) == name
}

// full makes the ways in which a disk has no room one.
func full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
