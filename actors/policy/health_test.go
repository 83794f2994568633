package policy

import (
	"testing"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

func TestHealth(t *testing.T) {
	passed, failed := Fact{Kind: HealthPassed}, Fact{Kind: HealthFailed, Cause: "answered 500"}
	// start returns a plugin that runs, with processes that are known.
	start := func(t *testing.T) *subject {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenDead, begun)
		return s.apply(s.startSucceeds(1)).want(Running, plugin.StateRunning)
	}
	wantCheck := func(s *subject) {
		s.Helper()
		if _, ok := effect[Check](s); !ok {
			s.Error("--status is not run")
		}
	}
	t.Run("AP-05 failed checks: degraded, reported, --status is run", func(t *testing.T) {
		s := start(t).apply(passed, failed).want(Degraded, plugin.StateDegraded).wantReport(plugin.StatusFailed)
		wantCheck(s)
		if s.l.why != "health check failed: answered 500" {
			t.Errorf("why %q", s.l.why)
		}
		wantCheck(s.apply(failed).want(Degraded, plugin.StateDegraded))
	})
	t.Run("AP-05 failed checks and a failed --status: stopped and started at once", func(t *testing.T) {
		s := start(t).apply(passed, failed, seenDead).want(Waiting, plugin.StateStarting)
		if a := s.wantSpawn(messages.KindRestart); a.Delay != 0 {
			t.Errorf("delay %v, want none", a.Delay)
		}
	})
	t.Run("AP-05 the next failure before it was healthy: after a backoff", func(t *testing.T) {
		s := start(t).apply(failed, seenDead, begun)
		s.apply(s.startSucceeds(2), failed, seenDead).want(Waiting, plugin.StateCrashLoop)
		if a := s.wantSpawn(messages.KindRestart); a.Delay == 0 {
			t.Error("no backoff")
		}
	})
	t.Run("AP-05 --status says running: degraded until a check passes", func(t *testing.T) {
		s := start(t).apply(passed, failed, seenRunning).want(Degraded, plugin.StateDegraded)
		s.apply(passed).want(Running, plugin.StateRunning).wantReport(plugin.StatusRunning)
	})
	t.Run("AP-05 its processes are not known: started", func(t *testing.T) {
		newSubject(t, plugin.RestartRecord{}).apply(seenRunning, failed, seenDead).wantSpawn(messages.KindStart)
	})
	t.Run("AP-02 a failed --status of a live process, not enough failed checks: degraded, not dead", func(t *testing.T) {
		s := start(t).apply(passed, seenDead).want(Degraded, plugin.StateDegraded).wantReport(plugin.StatusFailed)
		s.apply(seenDead).want(Degraded, plugin.StateDegraded)
		s.apply(passed).want(Running, plugin.StateRunning)
		s.apply(seenDead, failed, seenDead).want(Waiting, plugin.StateStarting).wantSpawn(messages.KindRestart)
	})
	t.Run("AP-02 dead without a passed check", func(t *testing.T) {
		start(t).apply(seenDead).wantSpawn(messages.KindStart)
	})
	t.Run("AP-02 dead where one of its processes has exited", func(t *testing.T) {
		start(t).apply(passed, Fact{Kind: ProcessExited, Exit: plugin.Exit{RunID: 1}}, seenDead).wantSpawn(messages.KindStart)
	})
	t.Run("AP-05 heartbeats and health: degraded while one of them fails", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenRunning).heartbeat(0, true).apply(failed)
		s.heartbeat(0, true).want(Degraded, plugin.StateDegraded)
		s.advance(2*minute).heartbeat(2*minute, false).apply(passed).want(Degraded, plugin.StateDegraded)
		s.heartbeat(0, true).want(Running, plugin.StateRunning)
	})
	t.Run("AP-05 checked while it runs, and has a service.yaml", func(t *testing.T) {
		s := start(t)
		if s.l.IsHealthChecked() {
			t.Error("checked without a shim")
		}
		s.l.Plugin.RunPath = "bin/plugin-shim"
		if !s.l.IsHealthChecked() || !s.apply(failed).l.IsHealthChecked() || s.apply(operStop).l.IsHealthChecked() {
			t.Error("checked: want while it is running and degraded only")
		}
	})
}

func TestDirectStart(t *testing.T) {
	start := func(t *testing.T, runPath string) *subject {
		s := newSubject(t, plugin.RestartRecord{})
		s.l.Plugin.RunPath = runPath
		s.apply(seenDead, begun)
		return s.apply(s.startSucceeds(1))
	}
	for name, tt := range map[string]struct {
		s      *subject
		direct bool
	}{
		"AP-06 after healthy time":                     {start(t, plugin.Shim).advance(minute).apply(seenRunning), true},
		"AP-06 before it was healthy":                  {start(t, plugin.Shim), false},
		"AP-06 a plugin that has no shim":              {start(t, "run").advance(minute).apply(seenRunning), false},
		"AP-06 after healthy time, degraded meanwhile": {start(t, plugin.Shim).advance(minute).apply(seenRunning, Fact{Kind: HealthFailed}), true},
	} {
		t.Run(name, func(t *testing.T) {
			if a := tt.s.apply(exitOf(1)).wantSpawn(messages.KindStart); a.Direct != tt.direct {
				t.Errorf("%+v, want direct %t", a, tt.direct)
			}
		})
	}
	t.Run("AP-06 the next attempt uses the shim", func(t *testing.T) {
		s := start(t, plugin.Shim).advance(minute).apply(seenRunning, exitOf(1), begun, startFails)
		if a := s.wantSpawn(messages.KindStart); a.Direct {
			t.Errorf("%+v, want not direct", a)
		}
	})
}
