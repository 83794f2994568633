package bounded

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// EV-24: a hung operation is abandoned in time, is not started again before it has
// returned, and does not delay others.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		var begun atomic.Int32
		thaw, late := make(chan struct{}), make(chan int, 1)
		hang := func() int { begun.Add(1); <-thaw; return 7 }
		began := time.Now()
		if _, err := Run(&s, "hung", time.Second, hang, func(n int) { late <- n }); !errors.Is(err, ErrHung) || time.Since(began) != time.Second {
			t.Fatalf("error %v after %v", err, time.Since(began))
		}
		if _, err := Run(&s, "hung", time.Second, hang, nil); !errors.Is(err, ErrHung) || time.Since(began) != time.Second || begun.Load() != 1 {
			t.Errorf("the second time: error %v after %v, begun %d times", err, time.Since(began), begun.Load())
		}
		if n, err := Run(&s, "fine", time.Second, func() int { return 3 }, nil); n != 3 || err != nil {
			t.Errorf("another key: %d, %v", n, err)
		}
		close(thaw)
		if n := <-late; n != 7 {
			t.Errorf("late result %d", n)
		}
		if n, err := Run(&s, "hung", time.Second, hang, nil); n != 7 || err != nil {
			t.Errorf("after it returned: %d, %v", n, err)
		}
	})
}

// EV-24: the waits for many hung operations add up to little.
func TestNextLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		thaw := make(chan struct{})
		defer close(thaw)
		began := time.Now()
		for n := range 100 {
			_, _ = Run(&s, fmt.Sprint(n), s.NextLimit(time.Second), func() int { <-thaw; return 0 }, nil)
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("100 hung operations took %v, want at most 6s", took)
		}
		if p := s.NextLimit(time.Second); p != 10*time.Millisecond {
			t.Errorf("next limit %v, want 10ms", p)
		}
	})
}
