package boltfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/pause"
)

// Options say how a file is opened. The zero value opens an existing file for
// writing and does not wait for its lock.
type Options struct {
	Create   bool          // create a file that does not exist; else that is fs.ErrNotExist
	Mode     fs.FileMode   // of a created file; 0 means 0640
	Wait     time.Duration // how long to wait for another process's lock
	ReadOnly bool          // share the lock with other readers; nothing can be changed
}

// DB is an open database file.
type DB struct {
	bolt   *bbolt.DB
	file   *os.File // bolt's own; it carries the lock
	broken bool     // a transaction panicked: bolt's locks may be held for ever
}

// Open locks the file, judges it and opens it. Errors wrap ErrLocked,
// ErrDamaged, or what the file system said. The wait for the lock ends early
// with ctx.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	f, created, err := openLocked(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if !created {
		if err := verifyFile(f); err != nil {
			f.Close()
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
	}
	db := &DB{file: f}
	err = Guard(func() (err error) {
		db.bolt, err = bbolt.Open(path, 0, &bbolt.Options{
			ReadOnly:     o.ReadOnly,
			FreelistType: bbolt.FreelistMapType,
			OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		})
		return err
	})
	if err != nil {
		if created { // half of a new file would be taken for a damaged one
			_ = os.Remove(path)
		}
		_ = lock.ReleaseFile(f) // bbolt did, unless it panicked
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, nil
}

// View runs fn in a read transaction. Faults end as ErrDamaged.
func (d *DB) View(fn func(*bbolt.Tx) error) error {
	return d.guard(func() error { return d.bolt.View(fn) })
}

// Update runs fn in a write transaction, which is on the disk when it returns
// nil. Faults end as ErrDamaged.
func (d *DB) Update(fn func(*bbolt.Tx) error) error {
	return d.guard(func() error { return d.bolt.Update(fn) })
}

func (d *DB) guard(f func() error) error {
	if d.broken {
		return fmt.Errorf("%w: an earlier transaction faulted", ErrDamaged)
	}
	finished := false
	err := Guard(func() error {
		err := f()
		finished = true
		return err
	})
	d.broken = !finished
	return err
}

// Close releases the file and its lock.
func (d *DB) Close() error {
	if d.broken {
		// bbolt's Close might wait for ever for the locks of the transaction that
		// panicked. Its mapping is left behind, and keeps the lock on the file
		// unless that is given back.
		return lock.ReleaseFile(d.file)
	}
	return d.bolt.Close()
}

// lockRetry is how often a lock held by another process is tried again.
const lockRetry = 20 * time.Millisecond

// openLocked opens and locks the file that is at path when the lock is held:
// the one before may have been moved aside meanwhile.
func openLocked(ctx context.Context, path string, o Options) (f *os.File, created bool, err error) {
	if o.Mode == 0 {
		o.Mode = 0o640
	}
	deadline := time.Now().Add(o.Wait)
	for {
		f, created, err = openFile(path, o)
		if err != nil {
			return nil, false, err
		}
		err = lock.TryFile(f, !o.ReadOnly)
		if err == nil && isAt(f, path) {
			return f, created, nil
		}
		f.Close()
		if err != nil && !errors.Is(err, lock.ErrHeld) {
			return nil, false, fmt.Errorf("lock: %w", err)
		}
		if time.Now().After(deadline) {
			return nil, false, fmt.Errorf("%w, waited %s", ErrLocked, o.Wait)
		}
		if err := pause.Sleep(ctx, lockRetry); err != nil {
			return nil, false, fmt.Errorf("%w: %w", ErrLocked, err)
		}
	}
}

// openFile opens or creates the file; what is no regular file is damaged.
func openFile(path string, o Options) (f *os.File, created bool, err error) {
	flag := os.O_RDWR
	if o.ReadOnly {
		flag = os.O_RDONLY
	}
	// Without O_NONBLOCK a pipe in the file's place would block for ever.
	f, err = os.OpenFile(path, flag|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) && o.Create {
		f, err = os.OpenFile(path, flag|os.O_CREATE|os.O_EXCL, o.Mode)
		if errors.Is(err, fs.ErrExist) { // another process was faster
			return openFile(path, Options{ReadOnly: o.ReadOnly})
		}
		created = err == nil
	}
	switch {
	case errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO):
		return nil, false, fmt.Errorf("%w: not a regular file", ErrDamaged)
	case err != nil:
		return nil, false, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: not a regular file", ErrDamaged)
	}
	if err != nil {
		f.Close()
		return nil, false, err
	}
	return f, created, nil
}

func isAt(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}
