package policy

import (
	"testing"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

func TestAttemptEnds(t *testing.T) {
	t.Run("RS-05 healthy time forgets failures, a mere start does not", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{})
		s.tell(seenDead, begun, startFails, begun, startFails, begun, s.starts(1), seenRunning)
		if s.l.Record.Failures != 2 {
			t.Errorf("failures %d", s.l.Record.Failures)
		}
		s.pass(minute).tell(Fact{Kind: HealthyDue}, seenRunning)
		if _, ok := effect[Recovered](s); !ok || s.l.Record.Failures != 0 {
			t.Errorf("failures %d", s.l.Record.Failures)
		}
	})
	t.Run("RS-06 RS-07 a failed start is reported and tried again", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).tell(seenDead, begun, startFails).want(Waiting, plugin.StateCrashLoop).reported(plugin.StatusFailed)
		if a := s.spawned(messages.KindStart); a.Delay < 800*time.Millisecond || a.Delay > 1200*time.Millisecond {
			t.Errorf("%+v", a)
		}
	})
	t.Run("EV-14 a failed stop is tried again, ever later", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).tell(seenRunning).tell(operStop)
		before := time.Duration(0)
		for range 4 {
			a := s.tell(begun, stopFails).want(Stopping, plugin.StateStopping).reported(plugin.StatusRunning).spawned(messages.KindStop)
			if a.Delay <= before {
				t.Errorf("after %v, before %v", a.Delay, before)
			}
			before = a.Delay
		}
		s.tell(seenDead).want(Cancelling, plugin.StateStopped).tell(cancelled).want(Stopped, plugin.StateStopped)
	})
}
