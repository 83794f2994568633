package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"pluginsupervisor/internal/boltfile"
	"pluginsupervisor/internal/pause"
)

var (
	errMissing  = errors.New("no plugin database")           // there is no such file
	errReplaced = errors.New("plugin database was replaced") // open it again
)

const (
	// maxTries bounds how often one operation may find the database missing, replaced
	// or damaged. Each time is repaired by one try.
	maxTries = 10
	// emptyFileWait is how long a 0-byte file is left alone, unlocked, before it is
	// verified again: bbolt first creates the file and then locks it, trying every
	// 50 ms (ST-08).
	emptyFileWait = 250 * time.Millisecond
)

// withDatabase calls work with the open database, and creates or rebuilds it first
// where needed. work may run more than once; write means that it needs the file
// for itself. If cached is not nil and returns true for the locked file, the file is
// not opened as a database.
func (r *Registry) withDatabase(ctx context.Context, write bool, work func(*database) error, cached func(*boltfile.File) bool) error {
	until := time.Now().Add(r.wait)
	var suspect error // damage that was found without an exclusive lock
	for range maxTries {
		err := ctx.Err()
		if err == nil {
			err = r.openAndRun(ctx, write, suspect, until, work, cached)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errReplaced):
			suspect = nil
		case errors.Is(err, errMissing):
			suspect = nil
			if err := r.createDatabase(ctx); err != nil {
				return fmt.Errorf("create plugin database %s: %w", r.path, err)
			}
		case errors.Is(err, boltfile.ErrDamaged):
			suspect = err
			if errors.Is(err, boltfile.ErrEmpty) {
				_ = pause.Sleep(ctx, emptyFileWait) // the next try checks ctx
			}
		default:
			return fmt.Errorf("plugin database %s: %w", r.path, err)
		}
	}
	return fmt.Errorf("plugin database %s: found missing, replaced or damaged %d times in a row", r.path, maxTries)
}

// openAndRun locks and opens the database, calls work and closes it. The error wraps
// boltfile.ErrDamaged for damage. When suspect is not nil, it locks the database
// exclusively, and rebuilds a damaged one; the error is then errReplaced.
func (r *Registry) openAndRun(ctx context.Context, write bool, suspect error, until time.Time, work func(*database) error, cached func(*boltfile.File) bool) error {
	f, err := boltfile.Lock(ctx, r.path, boltfile.Options{Wait: max(0, time.Until(until)), ReadOnly: !write && suspect == nil})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errMissing
	case err != nil && suspect != nil:
		return fmt.Errorf("%v; cannot be rebuilt: %w", suspect, err)
	case err != nil:
		return err
	}
	defer f.Close()
	if suspect == nil && cached != nil && cached(f) {
		return nil
	}
	db, err := f.Open()
	if err == nil {
		err = work(&database{f, db})
	}
	if suspect != nil && errors.Is(err, boltfile.ErrDamaged) {
		err = r.rebuildDatabase(ctx, f, err) // the lock is held until db is closed
	}
	if db != nil {
		if cerr := db.Close(); err == nil && cerr != nil {
			return fmt.Errorf("close: %w", cerr)
		}
	}
	return err
}
