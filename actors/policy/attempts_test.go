package policy

import (
	"testing"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

func TestAttemptEnds(t *testing.T) {
	t.Run("RS-05 healthy time resets the failures, a start alone does not", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{})
		s.apply(seenDead, begun, startFails, begun, startFails, begun, s.startSucceeds(1), seenRunning)
		if s.l.Record.Failures != 2 {
			t.Errorf("failures %d after the start, want 2", s.l.Record.Failures)
		}
		s.advance(minute).apply(Fact{Kind: HealthyDue}, seenRunning)
		if _, ok := effect[Recovered](s); !ok || s.l.Record.Failures != 0 {
			t.Errorf("failures %d", s.l.Record.Failures)
		}
	})
	t.Run("RS-06 RS-07 a failed start is reported and retried", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenDead, begun, startFails).want(Waiting, plugin.StateCrashLoop).wantReport(plugin.StatusFailed)
		if a := s.wantSpawn(messages.KindStart); a.Delay < 800*time.Millisecond || a.Delay > 1200*time.Millisecond {
			t.Errorf("%+v", a)
		}
	})
	t.Run("EV-14 a failed stop is retried with longer delays", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenRunning).apply(operStop)
		before := time.Duration(0)
		for range 4 {
			a := s.apply(begun, stopFails).want(Stopping, plugin.StateStopping).wantReport(plugin.StatusRunning).wantSpawn(messages.KindStop)
			if a.Delay <= before {
				t.Errorf("delay %v, not longer than the previous %v", a.Delay, before)
			}
			before = a.Delay
		}
		s.apply(seenDead).want(Cancelling, plugin.StateStopped).apply(cancelled).want(Stopped, plugin.StateStopped)
	})
}
