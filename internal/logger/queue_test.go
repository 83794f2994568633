package logger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
)

// stuckOutput is an output that blocks until reads is closed.
type stuckOutput struct {
	mu    sync.Mutex
	got   bytes.Buffer
	reads chan struct{} // closed: it reads
	err   error
}

func (r *stuckOutput) Write(p []byte) (int, error) {
	<-r.reads
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return 0, r.err
	}
	return r.got.Write(p)
}

// EV-27: a blocked reader does not delay logging. Lines are dropped and counted, and
// the log reports it when the reader reads again.
func TestQueueDropsLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &stuckOutput{reads: make(chan struct{})}
		log := logrus.New()
		log.SetOutput(to)
		log.SetFormatter(&logrus.JSONFormatter{})
		q := QueueLog(log)
		if d := q.Dropped(); d.Why != "" || d.Lines != 0 {
			t.Errorf("at first %+v, want no drops", d)
		}
		line := strings.Repeat("x", 1000)
		for range 1000 {
			log.Info(line)
		}
		synctest.Wait()
		d := q.Dropped()
		if want := fmt.Sprintf("%d log lines dropped: nothing reads the log", d.Lines); d.Lines < 400 || d.Lines > 600 || d.Why != want || d.Since.IsZero() {
			t.Errorf("dropped %+v", d)
		}
		close(to.reads)
		synctest.Wait()
		to.mu.Lock()
		written := to.got.String()
		to.mu.Unlock()
		if lines := strings.Count(written, "\n"); uint64(lines) != 1000-d.Lines+1 || !strings.Contains(written, fmt.Sprintf(`"lines":%d`, d.Lines)) {
			t.Errorf("%d lines, the last %q", lines, written[max(0, len(written)-200):])
		}
		if d := q.Dropped(); !strings.Contains(d.Why, "log lines dropped, the last at") {
			t.Errorf("afterwards %+v", d)
		}
		time.Sleep(2 * shownFor)
		if now := q.Dropped(); now.Why != "" || now.Lines != d.Lines {
			t.Errorf("later %+v, want no reason", now)
		}
		if err := q.Close(FlushWithin); err != nil {
			t.Error(err)
		}
	})
}

// EV-27: the exit of a program waits for a reader for a limited time only.
func TestQueueCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &stuckOutput{reads: make(chan struct{})}
		q := NewQueue(to, QueueOptions{Most: 10})
		fmt.Fprintln(q, "a line that is longer than the queue")
		fmt.Fprintln(q, "dropped")
		began := time.Now()
		if err := q.Close(FlushWithin); err == nil || time.Since(began) != FlushWithin {
			t.Errorf("%v after %v, want an error after %v", err, time.Since(began), FlushWithin)
		}
		close(to.reads)
		synctest.Wait()
		if got := to.got.String(); got != "a line that is longer than the queue\n" {
			t.Errorf("wrote %q", got)
		}
		fmt.Fprintln(q, "after Close")
		if d := q.Dropped(); d.Lines != 2 {
			t.Errorf("dropped %+v, want 2 lines", d)
		}
	})
}

// EV-27: a failed write is no error for the code that logs, and its cause is reported.
func TestQueueCountsFailedWrites(t *testing.T) {
	failure, failed := errors.New("no space left"), 0
	to := &stuckOutput{reads: make(chan struct{}), err: failure}
	close(to.reads)
	q := NewQueue(to, QueueOptions{Failed: func(error) { failed++ }})
	if _, err := fmt.Fprintln(q, "lost"); err != nil {
		t.Error(err)
	}
	if err := q.Close(0); !errors.Is(err, failure) || failed != 1 {
		t.Errorf("Close: %v, %d calls of Failed, want %v and 1", err, failed, failure)
	}
	if d := q.Dropped(); d.Why != "1 log line dropped: no space left" {
		t.Errorf("dropped %+v, want 1 line with its cause", d)
	}
}

func TestIsTerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if IsTerminal(f) || IsTerminal(&bytes.Buffer{}) {
		t.Error("a file or a buffer is reported as a terminal")
	}
}
