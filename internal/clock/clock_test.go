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

// timeout is the maximum wait for something that must happen at once.
const timeout = 30 * time.Second

func TestWallHasNoMonotonicReading(t *testing.T) {
	now := Wall{}.Now()
	if now != now.Round(0) {
		t.Errorf("%v carries a monotonic reading", now)
	}
	if d := time.Since(now); d < 0 || d > timeout {
		t.Errorf("%v is %v from the host's time", now, d)
	}
}

// TM-07: every step is reported. The clock is set to its current time, which the kernel
// treats as a step and no other process can see.
func TestWatchReportsSteps(t *testing.T) {
	alarm, err := newStepTimer()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	steps, returned := make(chan struct{}), make(chan error, 1)
	go func() {
		returned <- watchTimer(ctx, alarm, func() {
			select {
			case steps <- struct{}{}:
			case <-ctx.Done(): // another process set the clock
			}
		})
	}()

	for range 3 {
		if err := setClockToNow(); errors.Is(err, unix.EPERM) {
			testenv.SkipWithout(t, testenv.SetClock, err)
		} else if err != nil {
			t.Fatal(err)
		}
		select {
		case <-steps:
		case err := <-returned:
			t.Fatalf("watchTimer returned %v, want it to run", err)
		case <-time.After(timeout):
			t.Fatalf("no step reported within %v", timeout)
		}
	}
	cancel()
	expectReturn(t, returned)
}

func TestWatchEndsWithItsContext(t *testing.T) {
	for name, before := range map[string]bool{"cancelled before": true, "cancelled after the start": false} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if before {
				cancel()
			}
			returned := make(chan error, 1)
			go func() { returned <- Watch(ctx, func() {}) }()
			cancel()
			expectReturn(t, returned)
		})
	}
}

// A timer that can no longer be read is an error.
func TestWatchFails(t *testing.T) {
	alarm, err := newStepTimer()
	if err != nil {
		t.Fatal(err)
	}
	alarm.Close()
	if err := watchTimer(t.Context(), alarm, func() {}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("watch of a closed timer: %v", err)
	}
}

func setClockToNow() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
		return err
	}
	return unix.ClockSettime(unix.CLOCK_REALTIME, &now)
}

func expectReturn(t *testing.T, returned <-chan error) {
	t.Helper()
	select {
	case err := <-returned:
		if err != nil {
			t.Errorf("watchTimer returned %v, want nil", err)
		}
	case <-time.After(timeout):
		t.Error("watchTimer did not return after ctx ended")
	}
}
