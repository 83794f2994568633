package state

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"pluginsupervisor/internal/boltfile"
	"pluginsupervisor/internal/bounded"
	"pluginsupervisor/internal/durable"
)

// queue holds the work for the writer. Batches that arrive while it is busy are
// merged in order.
type queue struct {
	batch   image
	sync    bool
	lines   backlog
	waiters []chan error // each with a buffer of one
	stop    stopMode
}

// stopMode selects how the writer stops.
type stopMode int

const (
	keepRunning stopMode = iota
	foldAndStop          // writes everything to the database first
	stopAtOnce           // closes the files as they are
)

func (q *queue) add(batch image, lines []journalLine, sync bool) {
	if q.batch == nil {
		q.batch = image{}
	}
	q.batch.apply(batch, true)
	q.sync = q.sync || sync
	for _, l := range lines {
		q.lines.push(l)
	}
}

// openResult is the result of opening the files.
type openResult struct {
	state, journal error
	last           uint64 // number of the journal's last entry
}

// runWriter opens the files, then handles the queue until it must stop. No other
// goroutine accesses the files.
func (s *Store) runWriter(opened chan<- openResult) {
	defer close(s.done)
	var o openResult
	if o.state = s.step.Before("open"); o.state == nil {
		o.state = s.reopenFiles(lockWait)
	}
	if !errors.Is(o.state, boltfile.ErrLocked) { // else another process writes the journal
		o.last, o.journal = s.journal.prepare()
	}
	s.answerWaiters(queue{}, errors.Join(o.state, o.journal))
	opened <- o
	for range s.wake {
		s.mu.Lock()
		q := s.queue
		s.queue = queue{}
		s.mu.Unlock()
		s.answerWaiters(q, s.handleQueue(q))
		if q.stop != keepRunning {
			return
		}
	}
}

// answerWaiters records the result and sends it to the waiting callers.
func (s *Store) answerWaiters(q queue, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalled, s.failure = false, err
	for _, w := range q.waiters {
		w <- err
	}
}

// handleQueue writes the queued batch and lines, or stops.
func (s *Store) handleQueue(q queue) error {
	if q.stop == stopAtOnce {
		if s.disk != nil {
			s.closeDisk()
		}
		s.journal.closeFile()
		return nil
	}
	err := s.step.Before("write")
	if err == nil {
		err = s.writeBatch(q.batch, q.sync)
	}
	err = errors.Join(err, s.journal.append(q.lines))
	if q.stop == foldAndStop {
		err = errors.Join(s.foldAll(), s.journal.append(backlog{}))
		s.journal.closeFile()
		if s.disk != nil {
			err = errors.Join(err, s.disk.close())
		}
	}
	return err
}

// waitForWriter wakes the writer and waits until it has handled the queue. It
// returns errStalled after limit, and at once while the writer is stalled.
func (s *Store) waitForWriter(limit time.Duration) error {
	answer := make(chan error, 1)
	s.mu.Lock()
	s.wakeWriter()
	if s.stalled {
		s.mu.Unlock()
		return errStalled
	}
	s.queue.waiters = append(s.queue.waiters, answer)
	s.mu.Unlock()
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case err := <-answer:
		return err
	case <-late.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case err := <-answer:
		return err
	default:
		s.stalled = true
		return errStalled
	}
}

// wakeWriter wakes the writer. The caller holds mu.
func (s *Store) wakeWriter() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// stopWriter stops the writer. It does not wait for a writer that hangs.
func (s *Store) stopWriter(how stopMode) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed, s.queue.stop = true, how
	s.mu.Unlock()
	return s.waitForWriter(s.limit)
}

// readWithoutWriter reads the files while the writer hangs: a disk that accepts no
// writes can often be read (EV-25).
func (s *Store) readWithoutWriter() openResult {
	s.mu.Lock()
	s.stalled = true
	s.mu.Unlock()
	type found struct {
		state image
		last  uint64
	}
	got, err := bounded.Run(&bounded.Set{}, "", s.limit, func() (f found) {
		f.state = readImage(s.path, 0)
		f.last, _ = lastEntryNumber(filepath.Dir(s.path))
		return f
	}, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && got.state != nil && !s.read {
		s.addFound(got.state)
	}
	return openResult{state: errStalled, last: got.last}
}

// addFound adds the content of the disk to s.all. Saved changes are newer and win.
// The caller holds mu.
func (s *Store) addFound(found image) {
	found.apply(s.all, false)
	s.all, s.read = found, true
}

// snapshot returns a copy of s.all that shares the values.
func (s *Store) snapshot() image {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.clone()
}

// writeBatch appends a batch to the log, and folds or reopens the files if needed.
func (s *Store) writeBatch(batch image, sync bool) error {
	if s.disk == nil {
		return s.reopenFiles(0)
	}
	if err := s.disk.checkPlace(); err != nil {
		return s.retryFromStart(err)
	}
	if len(batch) == 0 && !sync {
		return nil
	}
	err := s.disk.wal.append(batch, sync)
	if err == nil && s.disk.wal.size > s.foldAt {
		err = s.disk.fold(s.snapshot())
	}
	if err != nil {
		return s.retryFromStart(err)
	}
	return nil
}

// retryFromStart reopens the files after an error and writes everything. This cures
// damage, but not a full disk.
func (s *Store) retryFromStart(failure error) error {
	s.closeDisk()
	if err := s.reopenFiles(0); err != nil {
		return fmt.Errorf("%w; second attempt: %w", failure, err)
	}
	s.log.WithError(failure).Warn("Writing state failed, a second attempt wrote all of it")
	return nil
}

// reopenFiles opens the files and writes everything to them. Their content is used
// only if it was not read before.
func (s *Store) reopenFiles(wait time.Duration) error {
	d, found, err := openDisk(s.path, wait, &s.damage)
	if found != nil {
		s.mu.Lock()
		if !s.read {
			s.addFound(found)
		}
		s.mu.Unlock()
	}
	if err != nil {
		return err
	}
	s.disk = d
	err = durable.FlushFolder(filepath.Dir(s.path))
	if err == nil {
		err = d.fold(s.snapshot())
	}
	if err != nil {
		s.closeDisk()
		return err
	}
	return nil
}

// closeDisk closes files that could not be written. Errors are ignored: the cause
// is known already.
func (s *Store) closeDisk() {
	_ = s.disk.close()
	s.disk = nil
}

// foldAll writes everything to the database.
func (s *Store) foldAll() error {
	if s.disk == nil {
		return s.reopenFiles(0)
	}
	if err := s.disk.fold(s.snapshot()); err != nil {
		return s.retryFromStart(err)
	}
	return nil
}
