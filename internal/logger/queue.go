package logger

import (
	"cmp"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

const (
	// DefaultQueue is how many bytes wait for a reader that stands still.
	DefaultQueue = 512 << 10
	// FlushWithin is how long the exit of a program waits for such a reader.
	FlushWithin = time.Second
	// shownFor is how long after the last dropped line Dropped reports it.
	shownFor = time.Hour
)

// Queue is a writer that never waits: what is written to it is handed on by a
// goroutine of its own. While the reader stands still, at most Most bytes wait;
// further lines are dropped and counted (EV-27).
type Queue struct {
	options QueueOptions
	to      io.Writer

	mu      sync.Mutex
	changed *sync.Cond
	lines   [][]byte // the first is being written
	size    int      // bytes in lines
	closing bool
	idle    chan struct{} // closed when the goroutine ended
	failed  error         // the first error of a write
	failing error         // the error of the last write

	total uint64    // lines that were dropped, ever
	since time.Time // of the first line dropped in this gap
	last  time.Time // of the last line dropped
	gap   uint64    // lines dropped since the queue was empty
}

// QueueOptions are optional.
type QueueOptions struct {
	Most     int                  // bytes that wait; 0: DefaultQueue. One line waits, whatever its length.
	CaughtUp func(dropped uint64) // called after a gap, when the reader reads again
	Failed   func(error)          // called for each write that fails
}

// NewQueue returns a queue before to, and starts its goroutine. Close ends it.
func NewQueue(to io.Writer, o QueueOptions) *Queue {
	if o.Most <= 0 {
		o.Most = DefaultQueue
	}
	q := &Queue{options: o, to: to, idle: make(chan struct{})}
	q.changed = sync.NewCond(&q.mu)
	go q.run()
	return q
}

// QueueLog puts a queue before the output of log, so that nothing waits for
// whatever reads it.
func QueueLog(log *logrus.Logger) *Queue {
	q := NewQueue(log.Out, QueueOptions{CaughtUp: func(dropped uint64) {
		log.WithField("lines", dropped).Warn("Log lines were dropped, nothing read them")
	}})
	log.SetOutput(q)
	return q
}

// Write takes one line. It always succeeds: that the line was dropped is
// counted.
func (q *Queue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closing || len(q.lines) > 0 && q.size+len(line) > q.options.Most {
		q.drop()
		return len(line), nil
	}
	q.lines = append(q.lines, append([]byte(nil), line...))
	q.size += len(line)
	q.changed.Broadcast()
	return len(line), nil
}

// drop counts a line that is lost. q.mu is held.
func (q *Queue) drop() {
	q.last = time.Now()
	if q.gap == 0 {
		q.since = q.last
	}
	q.total, q.gap = q.total+1, q.gap+1
}

// run writes the lines, one after the other, until the queue is closed.
func (q *Queue) run() {
	defer close(q.idle)
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for len(q.lines) == 0 && !q.closing {
			q.changed.Wait()
		}
		if len(q.lines) == 0 {
			return
		}
		line := q.lines[0]
		q.mu.Unlock()
		_, err := q.to.Write(line)
		if err != nil && q.options.Failed != nil {
			q.options.Failed(err)
		}
		q.mu.Lock()
		q.lines[0] = nil
		q.lines, q.size = q.lines[1:], q.size-len(line)
		q.failing = err
		if err != nil {
			q.failed = cmp.Or(q.failed, err)
			q.drop()
		}
		q.catchUp(err)
	}
}

// catchUp reports the end of a gap. q.mu is held.
func (q *Queue) catchUp(err error) {
	if len(q.lines) > 0 || q.gap == 0 || err != nil {
		return
	}
	gap := q.gap
	q.gap = 0
	if q.options.CaughtUp != nil && !q.closing {
		q.mu.Unlock()
		q.options.CaughtUp(gap)
		q.mu.Lock()
	}
}

// Drops says how many lines were dropped.
type Drops struct {
	Lines uint64    // ever
	Why   string    // "120 log lines dropped: …"; "" when none was lately
	Since time.Time // of the first of them
}

// Dropped returns what was dropped. Why is set while the reader stands still,
// and for an hour afterwards.
func (q *Queue) Dropped() Drops {
	q.mu.Lock()
	defer q.mu.Unlock()
	d := Drops{Lines: q.total, Since: q.since}
	if q.gap == 0 && (q.last.IsZero() || time.Since(q.last) > shownFor) {
		return d
	}
	d.Why = fmt.Sprintf("%d log lines dropped", q.total)
	if q.total == 1 {
		d.Why = "1 log line dropped"
	}
	switch {
	case q.gap == 0:
		d.Why += ", the last at " + q.last.Local().Format(time.TimeOnly)
	case q.failing != nil:
		d.Why += ": " + q.failing.Error()
	default:
		d.Why += ": nothing reads the log"
	}
	return d
}

// Close has what waits written, and ends the goroutine. It gives up after
// within; with 0 it waits for as long as it takes. It returns the first error
// of a write, or that lines still wait.
func (q *Queue) Close(within time.Duration) error {
	q.mu.Lock()
	q.closing = true
	q.changed.Broadcast()
	q.mu.Unlock()
	var late <-chan time.Time
	if within > 0 {
		timer := time.NewTimer(within)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-q.idle:
	case <-late:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed == nil && len(q.lines) > 0 {
		return fmt.Errorf("%d lines not written within %v", len(q.lines), within)
	}
	return q.failed
}
