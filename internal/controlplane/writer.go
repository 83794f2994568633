package controlplane

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// ErrBusy is returned when the queue of changes is full: retry later.
var ErrBusy = errors.New("too many requests are waiting; try again later")

// ErrClosed is returned for a change after Close.
var ErrClosed = errors.New("store is closed")

const (
	maxQueue = 512 // changes waiting; beyond that ErrBusy
	maxGroup = 128 // changes in one commit
)

// writer makes all changes to the database. A commit waits for the disk, so one
// commit covers all changes that queued up during the last. Each change has its
// own savepoint: when it fails, the others are kept (CP-04).
type writer struct {
	db      *sql.DB // one connection
	queue   chan write
	quit    chan struct{} // closed by close
	stopped chan struct{} // closed when nothing more is written
}

type write struct {
	change change
	done   chan error // of capacity 1: the writer never waits for the caller
}

type change func(ctx context.Context, tx *sql.Tx) error

func newWriter(db *sql.DB) *writer {
	w := &writer{db: db, queue: make(chan write, maxQueue), quit: make(chan struct{}), stopped: make(chan struct{})}
	go w.run()
	return w
}

// applyChange runs the change and returns when it is committed. When ctx is done
// first, the change may still happen.
func (w *writer) applyChange(ctx context.Context, c change) error {
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
	case <-w.stopped:
	}
	select {
	case err := <-job.done:
		return err
	default: // it was queued just when the writer stopped
		return ErrClosed
	}
}

// close waits until all queued changes are committed and closes the database. It
// may be called once.
func (w *writer) close() error {
	close(w.quit)
	<-w.stopped
	return w.db.Close()
}

func (w *writer) run() {
	defer close(w.stopped)
	for {
		select {
		case first := <-w.queue:
			w.commitGroup(w.collectGroup(first))
		case <-w.quit:
			for {
				select {
				case first := <-w.queue:
					w.commitGroup(w.collectGroup(first))
				default:
					return
				}
			}
		}
	}
}

// collectGroup returns the change and those queued behind it, without waiting.
func (w *writer) collectGroup(first write) []write {
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

func (w *writer) commitGroup(group []write) {
	errs := make([]error, len(group))
	// Not the requests' contexts: a canceled one must not undo the others.
	if err := w.runGroup(context.Background(), group, errs); err != nil {
		for i := range errs {
			errs[i] = err
		}
	}
	for i, job := range group {
		job.done <- errs[i]
	}
}

// runGroup runs the changes in one transaction and sets the error of each. The
// returned error applies to all of them.
func (w *writer) runGroup(ctx context.Context, group []write, errs []error) error {
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
