package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// damageError says why the bytes of a file are not a plugin database. It is
// the only error that lets the file be replaced (ST-07, ST-08).
type damageError struct {
	why   string
	empty bool // 0 bytes: perhaps another process is just creating it
}

func (e *damageError) Error() string { return e.why }

var (
	errMissing = errors.New("no plugin database")           // nothing has its name
	errAgain   = errors.New("plugin database was replaced") // look again
)

const (
	// maxTries bounds how often one operation finds the database gone, replaced
	// or damaged before it gives up. Each such finding is mended by one try.
	maxTries = 10
	// settle is how long a 0-byte file is left alone, unlocked, before it is
	// judged again: bbolt creates the file first and locks it next, trying every
	// 50 ms (ST-08).
	settle = 250 * time.Millisecond
)

// do runs work on the open database, and creates or mends the database first
// where that is needed. work may run more than once; write tells whether it
// needs the file for itself. glances, if there are any, are cast on the file
// first; if one is enough, it is not opened as a database.
func (r *Registry) do(ctx context.Context, write bool, work func(*database) error, glances ...func(*os.File) bool) error {
	until := time.Now().Add(r.wait)
	var suspect *damageError // found by a first look, to be judged again
	for range maxTries {
		err := ctx.Err()
		if err == nil {
			err = r.look(ctx, write, suspect, until, work, glances)
		}
		var damage *damageError
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errAgain):
			suspect = nil
		case errors.Is(err, errMissing):
			suspect = nil
			if err := r.create(); err != nil {
				return fmt.Errorf("create plugin database %s: %w", r.path, err)
			}
		case errors.As(err, &damage):
			suspect = damage
			if damage.empty {
				_ = sleep(ctx, settle) // a cancelled context ends the loop above
			}
		default:
			return fmt.Errorf("plugin database %s: %w", r.path, err)
		}
	}
	return fmt.Errorf("plugin database %s: found missing, replaced or damaged %d times in a row", r.path, maxTries)
}

// look opens the database as it is, locked, runs work on it and closes it.
// With a suspicion, damage is not only told but mended, under an exclusive
// lock, and the error is errAgain.
func (r *Registry) look(ctx context.Context, write bool, suspect *damageError, until time.Time, work func(*database) error, glances []func(*os.File) bool) error {
	write = write || suspect != nil
	f, err := r.open(ctx, write, until)
	if suspect != nil && isFailure(err) {
		return fmt.Errorf("damaged: %s; cannot be mended: %w", suspect.why, err)
	}
	if err != nil {
		return err
	}
	defer release(f)
	if suspect == nil && slices.ContainsFunc(glances, func(enough func(*os.File) bool) bool { return enough(f) }) {
		return nil
	}
	err = checkFile(f)
	if err == nil {
		err = use(f, write, work)
	}
	var damage *damageError
	if suspect == nil || !errors.As(err, &damage) {
		return err
	}
	if merr := r.mend(f, damage.empty, err); merr != nil {
		return fmt.Errorf("damaged: %v; cannot be mended: %w", err, merr)
	}
	return errAgain
}

// isFailure tells an error from a finding, which do goes on from.
func isFailure(err error) bool {
	return err != nil && !errors.Is(err, errMissing) && !errors.Is(err, errAgain)
}

func use(f *os.File, write bool, work func(*database) error) error {
	db, err := openDatabase(f, write)
	if err != nil {
		return err
	}
	err = work(db)
	if cerr := db.close(); err == nil && cerr != nil {
		return fmt.Errorf("close: %w", cerr)
	}
	return err
}
