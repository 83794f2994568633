package clock

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/testenv"
)

// patience is how long a test waits for what must come at once.
const patience = 30 * time.Second

func TestWallHasNoMonotonicReading(t *testing.T) {
	now := Wall{}.Now()
	if now != now.Round(0) {
		t.Errorf("%v carries a monotonic reading", now)
	}
	if d := time.Since(now); d < 0 || d > patience {
		t.Errorf("%v is %v from the host's time", now, d)
	}
}

// TM-07: every step is told. The clock is set to what it says, which the
// kernel takes for a step and nobody else can see.
func TestWatchTellsSteps(t *testing.T) {
	alarm, err := arm()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	steps, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- watch(ctx, alarm, func() {
			select {
			case steps <- struct{}{}:
			case <-ctx.Done(): // a step of somebody else's making
			}
		})
	}()

	for range 3 {
		if err := setToNow(); errors.Is(err, unix.EPERM) {
			testenv.SkipWithout(t, testenv.SetClock, err)
		} else if err != nil {
			t.Fatal(err)
		}
		select {
		case <-steps:
		case err := <-ended:
			t.Fatalf("watch ended: %v", err)
		case <-time.After(patience):
			t.Fatal("a step was not told")
		}
	}
	cancel()
	expectEnd(t, ended)
}

func TestWatchEndsWithItsContext(t *testing.T) {
	for name, before := range map[string]bool{"ended before": true, "ends after the start": false} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if before {
				cancel()
			}
			ended := make(chan error, 1)
			go func() { ended <- Watch(ctx, func() {}) }()
			cancel()
			expectEnd(t, ended)
		})
	}
}

// A timer that can no longer be read is an error, not a silent end.
func TestWatchFails(t *testing.T) {
	alarm, err := arm()
	if err != nil {
		t.Fatal(err)
	}
	alarm.Close()
	if err := watch(t.Context(), alarm, func() {}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("watch of a closed timer: %v", err)
	}
}

func setToNow() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
		return err
	}
	return unix.ClockSettime(unix.CLOCK_REALTIME, &now)
}

func expectEnd(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("watch ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("watch did not end with its context")
	}
}
