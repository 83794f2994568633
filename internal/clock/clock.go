// Package clock returns the wall time, and reports when it was set.
//
// Timers run on the monotonic clock. It stops while the host is suspended, and does not
// change when the time is set. Due times are kept in wall time, so their owner must be
// notified of both (TM-07). Watch sleeps until the kernel reports one of them; it does
// not poll.
package clock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/plugin"
)

// Wall is the host's clock.
type Wall struct{}

// Now returns the wall time without a monotonic reading. So the difference of
// two times is that of the wall clock, also over a suspend or a step.
func (Wall) Now() time.Time { return time.Now().Round(0) }

// Moment returns the current time on both clocks. The boot id is "" if the kernel does
// not provide it.
func (Wall) Moment() plugin.Moment {
	m := plugin.Moment{Wall: time.Now().Round(0)}
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err == nil {
		m.Uptime, m.BootID = time.Duration(up.Nano()), bootID()
	}
	return m
}

// bootID returns the id of this boot, read once.
var bootID = sync.OnceValue(func() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
})

// Watch calls stepped each time the wall clock was set or the host resumed from
// suspend; several such events may cause one call. Slewing, as NTP does for small
// corrections, is not a step. stepped runs on the caller's goroutine and delays the next
// call. Watch returns nil when ctx ends, and an error when the kernel cannot report
// steps.
func Watch(ctx context.Context, stepped func()) error {
	alarm, err := newStepTimer()
	if err != nil {
		return err
	}
	return watchTimer(ctx, alarm, stepped)
}

// never is later than any timer is needed, and before 2262, the end of the
// kernel's count of nanoseconds.
const never = 8_835_955_200 // 2250-01-01, in Unix seconds

// newStepTimer returns a timer that never fires. The kernel cancels it when the clock is
// set, which Watch waits for (timerfd_create(2)).
func newStepTimer() (*os.File, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("create clock timer: %w", err)
	}
	spec := unix.ItimerSpec{Value: unix.Timespec{Sec: never}}
	if err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &spec, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("arm clock timer: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "clock timer"), nil
}

func watchTimer(ctx context.Context, alarm *os.File, stepped func()) error {
	defer alarm.Close()
	defer context.AfterFunc(ctx, func() { alarm.SetReadDeadline(time.Unix(0, 1)) })()
	var expirations [8]byte
	for ctx.Err() == nil {
		// A cancelled timer stays armed: the next step cancels it again, and a step
		// before this Read is not lost.
		_, err := alarm.Read(expirations[:])
		switch {
		case errors.Is(err, unix.ECANCELED):
			stepped()
		case ctx.Err() != nil: // the deadline was set to wake us
		case err != nil:
			return fmt.Errorf("wait for a clock step: %w", err)
		}
	}
	return nil
}
