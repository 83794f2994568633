package policy

import (
	"testing"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

func TestRecordGone(t *testing.T) {
	gone := Fact{Kind: RecordGone}
	t.Run("SC-17 its pending status becomes REMOVED, and it is forgotten", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenRunning, gone).want(Removed, plugin.StateRemoved).wantReport(plugin.StatusUnknown)
		_, pending := effect[ReportRemoved](s)
		_, forgotten := effect[Forget](s)
		if _, saved := effect[Save](s); !pending || !forgotten || saved {
			t.Errorf("%+v", s.effects)
		}
	})
	t.Run("SC-17 the result of its attempt is not reported", func(t *testing.T) {
		for _, end := range []Fact{cancelled, startFails, {Kind: StartSucceeded}} {
			s := newSubject(t, plugin.RestartRecord{}).apply(seenDead, begun, gone).want(Cancelling, plugin.StateRemoved)
			s.apply(end).want(Removed, plugin.StateRemoved).wantReport(plugin.StatusUnknown)
		}
	})
	t.Run("SC-17 a command while its attempt is cancelled starts nothing", func(t *testing.T) {
		newSubject(t, plugin.RestartRecord{}).apply(seenDead, gone, operStart, cancelled).want(Removed, plugin.StateRemoved)
	})
	t.Run("EV-14 a record that is back does not start a stopped plugin", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenRunning, operStop, gone, Fact{Kind: Recorded, Plugin: persist(1, "a")})
		s.apply(cancelled).want(Stopping, plugin.StateStopping)
	})
	t.Run("a plugin that is no longer Persist is forgotten", func(t *testing.T) {
		newSubject(t, plugin.RestartRecord{}).apply(seenRunning, Fact{Kind: Recorded, Plugin: once(1, "a")}).want(Removed, plugin.StateRemoved)
	})
}

func TestTimersOfForgottenPlugin(t *testing.T) {
	s := newSubject(t, plugin.RestartRecord{}).apply(seenRunning, Fact{Kind: RecordGone})
	stopped := map[TimerKind]bool{}
	for _, e := range s.effects {
		if d, ok := e.(Disarm); ok {
			stopped[d.Timer] = true
		}
	}
	if !stopped[TimerHealthy] || !stopped[TimerSilence] || !stopped[TimerRefresh] {
		t.Errorf("timers are not stopped: effects %v", s.effects)
	}
}

func TestOtherVersionRecorded(t *testing.T) {
	t.Run("RS-09 another version is recorded while its start waits", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenDead, Fact{Kind: Recorded, Plugin: version2()}).want(Cancelling, plugin.StateStarting)
		if a := s.apply(cancelled).wantSpawn(messages.KindStart); a.Plugin.Version != "2.0" {
			t.Errorf("%+v", a)
		}
	})
	t.Run("RS-09 … and while an operator's restart waits", func(t *testing.T) {
		s := newRunning(t).apply(operRestart, Fact{Kind: Recorded, Plugin: version2()}).want(Cancelling, plugin.StateStarting)
		if a := s.apply(cancelled).wantSpawn(messages.KindRestart); a.Plugin.Version != "2.0" {
			t.Errorf("%+v", a)
		}
	})
}
