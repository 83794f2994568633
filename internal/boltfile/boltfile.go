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

// Options say how a file is opened. The zero value opens an existing file for
// writing and does not wait for its lock.
type Options struct {
	Create   bool          // create a file that does not exist, whole; else that is fs.ErrNotExist. Its folder is not flushed
	Mode     fs.FileMode   // of a created file, whatever the umask; 0 means 0640
	Wait     time.Duration // how long to wait for another process's lock
	ReadOnly bool          // share the lock with other readers; nothing can be changed
}

// DB is an open database file.
type DB struct {
	bolt   *bbolt.DB
	file   *File // bolt closes it, too
	broken bool  // a transaction panicked: bolt's locks may be held for ever
}

// Open locks the file, verifies it and opens it. Errors wrap ErrLocked,
// ErrDamaged, what the file system said, or the cause of ctx, which ends the
// wait for the lock. What is not a regular file counts as damaged.
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

// CheckPlace returns an error unless the file is still the one at its path.
func (d *DB) CheckPlace() error { return lock.CheckPlace(d.file.file, d.file.file.Name()) }

// Close releases the file and its lock.
func (d *DB) Close() error {
	if d.broken {
		// bbolt's Close might wait for ever for the locks of the transaction that
		// panicked. Its mapping is left behind.
		return d.file.Close()
	}
	return d.bolt.Close()
}
