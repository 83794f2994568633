package policy

import (
	"testing"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

func TestAdoption(t *testing.T) {
	up := plugin.RestartRecord{RunningSince: moment(0), Last: moment(0), Processes: daemon}
	adopted := Fact{Kind: Adopted, RunID: 1, Processes: daemon}
	t.Run("EV-07 what runs goes on running", func(t *testing.T) {
		newSubject(t, up).tell(adopted).want(Running, plugin.StateRunning).tell(seenRunning).want(Running, plugin.StateRunning)
	})
	t.Run("EV-07 a start under way gets the plugin's deadline, and is no failure", func(t *testing.T) {
		s := newSubject(t, up).tell(adopted, seenDead).want(Waiting, plugin.StateStarting)
		if a := s.spawned(messages.KindStart); a.Delay != 0 || s.l.Record.Failures != 0 {
			t.Errorf("%+v, %d failures", a, s.l.Record.Failures)
		}
	})
	t.Run("EV-09 what ended meanwhile is restarted, after it was asked", func(t *testing.T) {
		s := newSubject(t, up).tell(Fact{Kind: ExitMissed, RunID: 1}).want(Waiting, plugin.StateStarting)
		if a := s.spawned(messages.KindStart); a.Delay != 0 || !a.CheckFirst || !a.ConfirmRunning {
			t.Errorf("%+v", a)
		}
	})
	t.Run("RS-05 the failures of the process before count", func(t *testing.T) {
		failed := up
		failed.Failures = 2
		s := newSubject(t, failed).tell(adopted, exits(1)).want(Waiting, plugin.StateCrashLoop)
		if s.l.Record.Failures != 3 {
			t.Errorf("failures %d", s.l.Record.Failures)
		}
	})
	t.Run("EV-07 the start lies in the future", func(t *testing.T) {
		future := up
		future.RunningSince = plugin.Moment{Wall: epoch.Add(10 * time.Hour)}
		s := newSubject(t, future).tell(adopted)
		if !s.l.Record.RunningSince.Equal(s.now) {
			t.Errorf("up since %v", s.l.Record.RunningSince.Wall)
		}
	})
}

func TestProcesses(t *testing.T) {
	running := []plugin.Process{{PID: 7, StartTicks: 1, BootID: "b"}}
	s := newSubject(t, plugin.RestartRecord{}).tell(seenRunning, Fact{Kind: ProcessesSeen, RunID: 3, Processes: running})
	if v := s.l.View(plugin.WatchCgroup); len(v.PIDs) != 1 {
		t.Errorf("not taken over: %+v", v)
	}
	s.tell(exits(3), Fact{Kind: Adopted, RunID: 2, Processes: running})
	if v := s.l.View(plugin.WatchCgroup); len(v.PIDs) != 0 {
		t.Errorf("processes of an earlier run are taken for those of this one: %+v", v)
	}
}

func TestDuplicate(t *testing.T) {
	t.Run("ST-10 a duplicate is probed and never started", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{})
		s.l.Plugin.Duplicate = true
		s.tell(seenRunning).want(Running, plugin.StateRunning)
		s.tell(seenDead).want(Installed, plugin.StateInstalled)
	})
}
