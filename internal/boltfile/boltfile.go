package boltfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"go.etcd.io/bbolt"

	"pluginsupervisor/internal/lock"
)

// Options configures Open and Lock. The zero value opens an existing file for writing
// and does not wait for its lock.
type Options struct {
	Create   bool          // creates a missing file atomically; else the error is fs.ErrNotExist. The folder is not flushed
	Mode     fs.FileMode   // of a created file, regardless of the umask; 0 means 0640
	Wait     time.Duration // maximum wait for another process's lock
	ReadOnly bool          // shares the lock with other readers; writing is not possible
}

// DB is an open database file.
type DB struct {
	bolt   *bbolt.DB
	file   *File // closed by bolt too
	broken bool  // a transaction panicked: bolt's locks may be held forever
}

// Open locks the file, verifies it and opens it. Errors wrap ErrLocked, ErrDamaged,
// an error of the file system, or the cause of ctx, which ends the wait for the lock.
// Anything but a regular file counts as damaged.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	f, err := Lock(ctx, path, o)
	if errors.Is(err, ErrNotRegular) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db, err := f.Open()
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, nil
}

// View runs fn in a read transaction. Faults become ErrDamaged.
func (d *DB) View(fn func(*bbolt.Tx) error) error {
	return d.runGuarded(func() error { return d.bolt.View(fn) })
}

// Update runs fn in a write transaction. After nil it is flushed to disk. Faults
// become ErrDamaged.
func (d *DB) Update(fn func(*bbolt.Tx) error) error {
	return d.runGuarded(func() error { return d.bolt.Update(fn) })
}

func (d *DB) runGuarded(f func() error) error {
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

// CheckPlace fails unless the open file is still the one at its path.
func (d *DB) CheckPlace() error { return lock.CheckPlace(d.file.file, d.file.file.Name()) }

// Close releases the file and its lock.
func (d *DB) Close() error {
	if d.broken {
		// bbolt's Close might wait forever for the locks of the transaction that
		// panicked. Its mapping stays.
		return d.file.Close()
	}
	return d.bolt.Close()
}
