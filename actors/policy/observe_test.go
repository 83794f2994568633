package policy

import (
	"testing"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

func TestReattach(t *testing.T) {
	up := plugin.RestartRecord{RunningSince: moment(0), Last: moment(0), Processes: daemon}
	reattached := Fact{Kind: Reattached, RunID: 1, Processes: daemon}
	t.Run("EV-07 a running plugin keeps running", func(t *testing.T) {
		newSubject(t, up).apply(reattached).want(Running, plugin.StateRunning).apply(seenRunning).want(Running, plugin.StateRunning)
	})
	t.Run("EV-07 a start in progress has the plugin's deadline, and is no failure", func(t *testing.T) {
		s := newSubject(t, up).apply(reattached, seenDead).want(Waiting, plugin.StateStarting)
		if a := s.wantSpawn(messages.KindStart); a.Delay != 0 || s.l.Record.Failures != 0 {
			t.Errorf("%+v, %d failures", a, s.l.Record.Failures)
		}
	})
	t.Run("EV-09 a plugin that exited meanwhile is restarted, after --status", func(t *testing.T) {
		s := newSubject(t, up).apply(Fact{Kind: ExitMissed, RunID: 1}).want(Waiting, plugin.StateStarting)
		if a := s.wantSpawn(messages.KindStart); a.Delay != 0 || !a.CheckFirst || !a.ConfirmRunning {
			t.Errorf("%+v", a)
		}
	})
	t.Run("RS-05 the failures in an earlier process count", func(t *testing.T) {
		failed := up
		failed.Failures = 2
		s := newSubject(t, failed).apply(reattached, exitOf(1)).want(Waiting, plugin.StateCrashLoop)
		if s.l.Record.Failures != 3 {
			t.Errorf("failures %d, want 3", s.l.Record.Failures)
		}
	})
	t.Run("EV-07 the saved start is in the future", func(t *testing.T) {
		future := up
		future.RunningSince = plugin.Moment{Wall: epoch.Add(10 * time.Hour)}
		s := newSubject(t, future).apply(reattached)
		if !s.l.Record.RunningSince.Equal(s.now) {
			t.Errorf("running since %v, want %v", s.l.Record.RunningSince.Wall, s.now.Wall)
		}
	})
}

func TestProcesses(t *testing.T) {
	running := []plugin.Process{{PID: 7, StartTicks: 1, BootID: "b"}}
	s := newSubject(t, plugin.RestartRecord{}).apply(seenRunning, Fact{Kind: ProcessesSeen, RunID: 3, Processes: running})
	if v := s.l.View(plugin.WatchCgroup); len(v.PIDs) != 1 {
		t.Errorf("the process is not stored: %+v", v)
	}
	s.apply(exitOf(3), Fact{Kind: Reattached, RunID: 2, Processes: running})
	if v := s.l.View(plugin.WatchCgroup); len(v.PIDs) != 0 {
		t.Errorf("processes of an earlier run are stored: %+v", v)
	}
}

func TestDuplicate(t *testing.T) {
	t.Run("ST-10 a duplicate is probed and never started", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{})
		s.l.Plugin.Duplicate = true
		s.apply(seenRunning).want(Running, plugin.StateRunning)
		s.apply(seenDead).want(Installed, plugin.StateInstalled)
	})
}
