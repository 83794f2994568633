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

// queue is what the writer has to do next. Batches that come while it is busy
// become one, in their order.
type queue struct {
	batch   image
	sync    bool
	lines   backlog
	waiters []chan error // each has room for the answer
	end     ending
}

// ending is how the writer ends.
type ending int

const (
	goOn      ending = iota
	endFolded        // everything is brought into the database
	endNow           // the files are let go as they are
)

func (q *queue) add(batch image, lines []waiting, sync bool) {
	if q.batch == nil {
		q.batch = image{}
	}
	q.batch.apply(batch, true)
	q.sync = q.sync || sync
	for _, l := range lines {
		q.lines.push(l)
	}
}

// opening is how the writer's start went.
type opening struct {
	state, journal error
	last           uint64 // number of the journal's last entry
}

// run is the writer. It alone touches the files.
func (s *Store) run(opened chan<- opening) {
	defer close(s.done)
	var o opening
	if o.state = s.step.Before("open"); o.state == nil {
		o.state = s.reopen(lockWait)
	}
	if !errors.Is(o.state, boltfile.ErrLocked) { // else another process writes the journal
		o.last, o.journal = s.journal.begin()
	}
	s.report(queue{}, errors.Join(o.state, o.journal))
	opened <- o
	for range s.wake {
		s.mu.Lock()
		q := s.queue
		s.queue = queue{}
		s.mu.Unlock()
		s.report(q, s.carryOut(q))
		if q.end != goOn {
			return
		}
	}
}

// report answers those who wait.
func (s *Store) report(q queue, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalled, s.failure = false, err
	for _, w := range q.waiters {
		w <- err
	}
}

func (s *Store) carryOut(q queue) error {
	if q.end == endNow {
		if s.disk != nil {
			s.abandon()
		}
		s.journal.close()
		return nil
	}
	err := s.step.Before("write")
	if err == nil {
		err = s.write(q.batch, q.sync)
	}
	err = errors.Join(err, s.journal.append(q.lines))
	if q.end == endFolded {
		err = errors.Join(s.settle(), s.journal.append(backlog{}))
		s.journal.close()
		if s.disk != nil {
			err = errors.Join(err, s.disk.close())
		}
	}
	return err
}

// await has the writer do what is queued and waits for it, unless it hangs.
func (s *Store) await(limit time.Duration) error {
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

// wakeWriter is called with mu held.
func (s *Store) wakeWriter() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// end ends the writer. One that hangs is left behind.
func (s *Store) end(how ending) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed, s.queue.end = true, how
	s.mu.Unlock()
	return s.await(s.limit)
}

// readWithoutWriter reads what can be read while the writer hangs: a disk that
// takes no writes can often be read (EV-25).
func (s *Store) readWithoutWriter() opening {
	s.mu.Lock()
	s.stalled = true
	s.mu.Unlock()
	type found struct {
		state image
		last  uint64
	}
	got, err := bounded.Run(&bounded.Set{}, "", s.limit, func() (f found) {
		f.state = readOnly(s.path, 0)
		f.last, _ = lastEntry(filepath.Dir(s.path))
		return f
	}, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && got.state != nil && !s.read {
		s.remember(got.state)
	}
	return opening{state: errStalled, last: got.last}
}

// remember takes over what was on the disk, as far as nothing newer came. It is
// called with mu held.
func (s *Store) remember(found image) {
	found.apply(s.all, false)
	s.all, s.read = found, true
}

// snapshot returns everything that is remembered. The values are shared.
func (s *Store) snapshot() image {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.clone()
}

func (s *Store) write(batch image, sync bool) error {
	if s.disk == nil {
		return s.reopen(0)
	}
	if err := s.disk.checkPlace(); err != nil {
		return s.again(err)
	}
	if len(batch) == 0 && !sync {
		return nil
	}
	err := s.disk.wal.append(batch, sync)
	if err == nil && s.disk.wal.size > s.foldAt {
		err = s.disk.fold(s.snapshot())
	}
	if err != nil {
		return s.again(err)
	}
	return nil
}

// again tries once more, from the start, after the open files failed: damage
// is cured by that, a full disk is not.
func (s *Store) again(failure error) error {
	s.abandon()
	if err := s.reopen(0); err != nil {
		return fmt.Errorf("%w; again: %w", failure, err)
	}
	s.log.WithError(failure).Warn("State could not be written, and was written anew")
	return nil
}

// reopen opens the files and writes everything there is to them. What they
// held counts only if it was not read before.
func (s *Store) reopen(wait time.Duration) error {
	d, found, err := openDisk(s.path, wait, &s.damage)
	if found != nil {
		s.mu.Lock()
		if !s.read {
			s.remember(found)
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
		s.abandon()
		return err
	}
	return nil
}

// abandon closes files that could not be written. Why is known already.
func (s *Store) abandon() {
	_ = s.disk.close()
	s.disk = nil
}

// settle brings everything into the database.
func (s *Store) settle() error {
	if s.disk == nil {
		return s.reopen(0)
	}
	if err := s.disk.fold(s.snapshot()); err != nil {
		return s.again(err)
	}
	return nil
}
