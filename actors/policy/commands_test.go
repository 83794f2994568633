package policy

import (
	"testing"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

func TestStop(t *testing.T) {
	t.Run("EV-14 saved on the disk, then stopped, reported as failed", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenRunning).apply(operStop).want(Stopping, plugin.StateStopping)
		if e, ok := effect[Save](s); !ok || !e.Sync || !s.l.Record.StopPending {
			t.Errorf("%+v %+v", e, s.l.Record)
		}
		s.apply(begun, Fact{Kind: StopSucceeded}).want(Stopped, plugin.StateStopped).wantReport(plugin.StatusFailed)
		if s.l.Record.StopPending || !s.l.Record.Stopped {
			t.Errorf("%+v", s.l.Record)
		}
		s.apply(seenDead, exitOf(1)).want(Stopped, plugin.StateStopped)
	})
	t.Run("EV-14 a stop that an earlier process accepted is carried out", func(t *testing.T) {
		for name, f := range map[string]Fact{"re-attached": {Kind: Reattached, RunID: 1, Processes: daemon}, "scanned": seenRunning} {
			s := newSubject(t, plugin.RestartRecord{Stopped: true, StopPending: true, RunningSince: moment(0), Processes: daemon})
			s.apply(f).want(Stopping, plugin.StateStopping)
			if a := s.wantSpawn(messages.KindStop); a.Delay != 0 {
				t.Errorf("%s: %+v", name, a)
			}
		}
	})
	t.Run("EV-14 also from a record of an earlier version", func(t *testing.T) {
		if s := newSubject(t, plugin.RestartRecord{Stopped: true, RunningSince: moment(0)}); !s.l.Record.StopPending {
			t.Error("the stop is not pending")
		}
	})
	t.Run("EV-14 started by another program after the stop: accepted, also in the next process", func(t *testing.T) {
		for name, s := range map[string]*subject{
			"same process": newSubject(t, plugin.RestartRecord{}).apply(seenRunning).apply(operStop, begun, Fact{Kind: StopSucceeded}),
			"next process": newSubject(t, plugin.RestartRecord{Stopped: true}),
		} {
			s.apply(seenRunning).want(Running, plugin.StateRunning).wantReport(plugin.StatusRunning)
			if e, ok := effect[Save](s); !ok || !e.Sync || s.l.Record.Stopped {
				t.Errorf("%s: %+v", name, s.l.Record)
			}
		}
	})
}

func TestCommandEndsCrashLoop(t *testing.T) {
	t.Run("EV-12 a command ends a crash loop, with a change of state", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenDead, begun, startFails).want(Waiting, plugin.StateCrashLoop)
		s.apply(operStart).want(Cancelling, plugin.StateStarting)
		if m, _ := effect[Moved](s); m.From != plugin.StateCrashLoop || m.To != plugin.StateStarting {
			t.Errorf("%+v", m)
		}
	})
}
