package lock

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/pause"
)

// ErrHeld means that another open file holds a lock that excludes the wanted one.
const ErrHeld = unix.EWOULDBLOCK

// TryFile takes the lock of an open file or folder without waiting, shared or
// exclusively. Closing f releases the lock, unless a child process still has a copy
// of f: ReleaseFile releases it in any case. The error may be ErrHeld.
func TryFile(f *os.File, exclusive bool) error {
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	return flockFile(f, how|unix.LOCK_NB)
}

// WaitFile is TryFile that waits until the lock is free, or ctx ends.
func WaitFile(ctx context.Context, f *os.File, exclusive bool) error {
	for pauses := pause.NewDoubling(firstPause, lastPause); ; {
		err := TryFile(f, exclusive)
		if !errors.Is(err, ErrHeld) {
			return err
		}
		if err := pauses.Sleep(ctx); err != nil {
			return fmt.Errorf("wait for the lock: %w", err)
		}
	}
}

// ReleaseFile releases the lock of f and closes it.
func ReleaseFile(f *os.File) error {
	return errors.Join(flockFile(f, unix.LOCK_UN), f.Close())
}

// flockFile calls flock(2) through the os.File: after Close it fails, and never locks
// another file with the same descriptor.
func flockFile(f *os.File, how int) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		for {
			if failed = unix.Flock(int(fd), how); failed != unix.EINTR {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return failed
}
