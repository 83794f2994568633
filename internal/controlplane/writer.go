package controlplane

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// ErrBusy is when more changes are queued than the disk keeps up with: come back later.
var ErrBusy = errors.New("too many requests are waiting")

// ErrClosed is when a change comes after Close.
var ErrClosed = errors.New("store is closed")

const (
	maxQueue = 512 // changes waiting, beyond which ErrBusy
	maxGroup = 128 // changes in one commit
)

// writer is the one that changes the database. A commit waits for the disk, so
// it takes all that queued up during the one before: each change in a savepoint
// of its own, that one's failure stays its own, and one commit for all (CP-04).
type writer struct {
	db    *sql.DB // one connection
	queue chan write
	quit  chan struct{} // closed by close
	gone  chan struct{} // closed when nothing more is written
}

type write struct {
	change change
	done   chan error // of capacity 1: the writer never waits for who asked
}

type change func(ctx context.Context, tx *sql.Tx) error

func newWriter(db *sql.DB) *writer {
	w := &writer{db: db, queue: make(chan write, maxQueue), quit: make(chan struct{}), gone: make(chan struct{})}
	go w.run()
	return w
}

// do carries the change out and returns when it is committed. When ctx ends
// first, the change may still happen.
func (w *writer) do(ctx context.Context, c change) error {
	job := write{change: c, done: make(chan error, 1)}
	select {
	case <-w.quit:
		return ErrClosed
	default:
	}
	select {
	case w.queue <- job:
	default:
		return ErrBusy
	}
	select {
	case err := <-job.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-w.gone:
	}
	select {
	case err := <-job.done:
		return err
	default: // it was queued just when the writer left
		return ErrClosed
	}
}

// close may be called once; it returns when everything queued is committed.
func (w *writer) close() error {
	close(w.quit)
	<-w.gone
	return w.db.Close()
}

func (w *writer) run() {
	defer close(w.gone)
	for {
		select {
		case first := <-w.queue:
			w.commit(w.group(first))
		case <-w.quit:
			for {
				select {
				case first := <-w.queue:
					w.commit(w.group(first))
				default:
					return
				}
			}
		}
	}
}

// group is the change and those that wait behind it; nothing is waited for.
func (w *writer) group(first write) []write {
	group := []write{first}
	for len(group) < maxGroup {
		select {
		case next := <-w.queue:
			group = append(group, next)
		default:
			return group
		}
	}
	return group
}

func (w *writer) commit(group []write) {
	errs := make([]error, len(group))
	// Not the requests' contexts: one that gives up must not undo the others.
	if err := w.transact(context.Background(), group, errs); err != nil {
		for i := range errs {
			errs[i] = err
		}
	}
	for i, job := range group {
		job.done <- errs[i]
	}
}

// transact fills in each change's own error; the one it returns is everybody's.
func (w *writer) transact(ctx context.Context, group []write, errs []error) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // after Commit there is nothing to roll back
	for i, job := range group {
		if _, err := tx.ExecContext(ctx, `SAVEPOINT one`); err != nil {
			return fmt.Errorf("set savepoint: %w", err)
		}
		if errs[i] = job.change(ctx, tx); errs[i] != nil {
			if _, err := tx.ExecContext(ctx, `ROLLBACK TO one`); err != nil {
				return fmt.Errorf("roll back: %w", errors.Join(err, errs[i]))
			}
		}
		if _, err := tx.ExecContext(ctx, `RELEASE one`); err != nil {
			return fmt.Errorf("release savepoint: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
