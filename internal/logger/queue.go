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
	// DefaultQueue is the number of bytes that are queued for a blocked reader.
	DefaultQueue = 512 << 10
	// FlushWithin is the maximum wait for a blocked reader when a program exits.
	FlushWithin = time.Second
	// shownFor is the time after the last dropped line for which Dropped reports it.
	shownFor = time.Hour
)

// Queue is a writer that never blocks: its own goroutine writes the lines to the
// output. While the reader is blocked, at most Most bytes are queued; further lines are
// dropped and counted (EV-27).
type Queue struct {
	options QueueOptions
	output  io.Writer

	mu      sync.Mutex
	changed *sync.Cond
	lines   [][]byte // the first is being written
	size    int      // bytes in lines
	closing bool
	idle    chan struct{} // closed when the goroutine has returned
	failed  error         // the first error of a write
	failing error         // the error of the last write

	total uint64    // lines dropped since the start
	since time.Time // of the first line dropped in this gap
	last  time.Time // of the last line dropped
	gap   uint64    // lines dropped since the queue was empty
}

// QueueOptions configures a Queue. All fields are optional.
type QueueOptions struct {
	Most     int                  // maximum of queued bytes; 0: DefaultQueue. One line of any length is always queued.
	CaughtUp func(dropped uint64) // called after a gap, when the reader reads again
	Failed   func(error)          // called for each failed write
}

// NewQueue returns a queue that writes to the output to, and starts its goroutine.
// Close stops it.
func NewQueue(to io.Writer, o QueueOptions) *Queue {
	if o.Most <= 0 {
		o.Most = DefaultQueue
	}
	q := &Queue{options: o, output: to, idle: make(chan struct{})}
	q.changed = sync.NewCond(&q.mu)
	go q.writeLines()
	return q
}

// QueueLog makes log write through a queue, so that logging never waits for its reader.
func QueueLog(log *logrus.Logger) *Queue {
	q := NewQueue(log.Out, QueueOptions{CaughtUp: func(dropped uint64) {
		log.WithField("lines", dropped).Warn("Log lines were dropped because nothing read the log")
	}})
	log.SetOutput(q)
	return q
}

// Write queues one line. It always succeeds; a dropped line is counted.
func (q *Queue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closing || len(q.lines) > 0 && q.size+len(line) > q.options.Most {
		q.countDrop()
		return len(line), nil
	}
	q.lines = append(q.lines, append([]byte(nil), line...))
	q.size += len(line)
	q.changed.Broadcast()
	return len(line), nil
}

// countDrop counts a dropped line. The caller holds q.mu.
func (q *Queue) countDrop() {
	q.last = time.Now()
	if q.gap == 0 {
		q.since = q.last
	}
	q.total, q.gap = q.total+1, q.gap+1
}

// writeLines writes the queued lines until the queue is closed and empty.
func (q *Queue) writeLines() {
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
		_, err := q.output.Write(line)
		if err != nil && q.options.Failed != nil {
			q.options.Failed(err)
		}
		q.mu.Lock()
		q.lines[0] = nil
		q.lines, q.size = q.lines[1:], q.size-len(line)
		q.failing = err
		if err != nil {
			q.failed = cmp.Or(q.failed, err)
			q.countDrop()
		}
		q.reportGapEnd(err)
	}
}

// reportGapEnd calls CaughtUp when the queue is empty after a gap. The caller holds
// q.mu.
func (q *Queue) reportGapEnd(err error) {
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

// Drops holds the number of dropped lines.
type Drops struct {
	Lines uint64    // since the start
	Why   string    // "120 log lines dropped: …"; "" if none was dropped recently
	Since time.Time // when the first line of the last gap was dropped
}

// Dropped returns the number of dropped lines. Why is set while the reader is blocked,
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

// Close waits until all queued lines are written, and stops the goroutine. It gives up
// after within; 0 means no limit. It returns the first error of a write, or an error if
// lines are left.
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
