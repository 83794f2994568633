package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/record"
)

// maxPause is the longest pause between two tries for a lock.
const maxPause = 50 * time.Millisecond

// open opens and locks the file that has the database's name, without creating
// it (ST-01): shared for reading, exclusively for writing, as bbolt does.
func (r *Registry) open(ctx context.Context, write bool, until time.Time) (*os.File, error) {
	flag, how := os.O_RDONLY, unix.LOCK_SH
	if write {
		flag, how = os.O_RDWR, unix.LOCK_EX
	}
	f, err := os.OpenFile(r.path, flag|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errMissing
	}
	if err != nil {
		return nil, err
	}
	if err := r.lock(ctx, f, how, until); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// lock waits for the lock and then makes sure that the file still is the
// database: who held it before may have put another in its place.
func (r *Registry) lock(ctx context.Context, f *os.File, how int, until time.Time) error {
	own, err := f.Stat()
	if err != nil {
		return err
	}
	if !own.Mode().IsRegular() {
		return record.ErrNotRegular
	}
	for pause := time.Millisecond; ; pause = min(2*pause, maxPause) {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock: %w", err)
		}
		left := time.Until(until)
		if left <= 0 {
			return fmt.Errorf("%w for %v", ErrLocked, r.wait)
		}
		if err := sleep(ctx, min(pause, left)); err != nil {
			return fmt.Errorf("wait for its lock: %w", err)
		}
	}
	current, err := os.Stat(r.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || !os.SameFile(own, current) {
		return errAgain
	}
	return nil
}

// release unlocks and closes the file, unless bbolt has done so. The lock is
// let go by name: a mapping that was given up would keep it.
func release(f *os.File) {
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { _ = unix.Flock(int(fd), unix.LOCK_UN) })
	}
	_ = f.Close()
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
