package policy

import (
	"testing"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

func TestHungPlugin(t *testing.T) {
	silent := func(t *testing.T, d time.Duration) *subject {
		return newSubject(t, plugin.RestartRecord{}).apply(seenRunning).heartbeat(0, true).advance(d).heartbeat(d, false)
	}
	t.Run("PL-17 overdue: degraded, reported, --status is run at once", func(t *testing.T) {
		s := silent(t, 66*time.Second).want(Degraded, plugin.StateDegraded).wantReport(plugin.StatusFailed)
		if _, ok := effect[Check](s); !ok {
			t.Error("--status is not asked")
		}
		if e, ok := effect[Arm](s); !ok || e.Timer != TimerSilence || e.After != 115*time.Second {
			t.Errorf("%+v", e)
		}
	})
	t.Run("PL-17 overdue and dead: restarted", func(t *testing.T) {
		silent(t, 66*time.Second).apply(seenDead).want(Waiting, plugin.StateStarting).wantSpawn(messages.KindStart)
	})
	t.Run("PL-17 runs, and has been silent for less than three intervals", func(t *testing.T) {
		silent(t, 66*time.Second).apply(seenRunning).want(Degraded, plugin.StateDegraded).advance(114*time.Second).apply(seenRunning).want(Degraded, plugin.StateDegraded)
	})
	t.Run("PL-17 runs, and has been silent for three intervals: stopped and started", func(t *testing.T) {
		s := silent(t, 66*time.Second).advance(115 * time.Second).apply(Fact{Kind: SilenceDue})
		if _, ok := effect[Check](s); !ok {
			t.Error("--status is not asked")
		}
		s.apply(seenRunning).want(Waiting, plugin.StateStarting)
		if a := s.wantSpawn(messages.KindRestart); a.Plugin.Name != "a" || s.l.why != "hangs: no heartbeat for 3m1s" {
			t.Errorf("%+v %q", a, s.l.why)
		}
	})
	t.Run("PL-17 not restarted if restart.on_hang is off", func(t *testing.T) {
		s := silent(t, 4*minute)
		s.config.OnHang = false
		s.apply(seenRunning).want(Degraded, plugin.StateDegraded)
	})
	t.Run("PL-17 a last start after the last heartbeat counts", func(t *testing.T) {
		s := silent(t, 4*minute).apply(seenDead, begun)
		s.apply(s.startSucceeds(1)).advance(30*time.Second).heartbeat(4*minute+30*time.Second, false).want(Running, plugin.StateRunning)
		s.advance(36*time.Second).heartbeat(5*minute+6*time.Second, false).apply(seenRunning).want(Degraded, plugin.StateDegraded)
		s.advance(115*time.Second).apply(seenRunning).want(Waiting, plugin.StateCrashLoop).wantSpawn(messages.KindRestart)
	})
	t.Run("PL-17 a last start after the last heartbeat: --status is run three intervals later", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenDead, begun).heartbeat(4*minute, false)
		if s.apply(s.startSucceeds(1)); s.l.Phase() != Running {
			t.Fatal(s.l.Phase())
		}
		if e, ok := effect[Arm](s); !ok || e.Timer != TimerSilence || e.After != 181*time.Second {
			t.Errorf("%+v", e)
		}
		for after, asked := range map[time.Duration]bool{3 * minute: false, 181 * time.Second: true} {
			s := newSubject(t, plugin.RestartRecord{}).apply(seenDead, begun).heartbeat(4*minute, false)
			s.apply(s.startSucceeds(1)).advance(after).apply(Fact{Kind: SilenceDue})
			if _, ok := effect[Check](s); ok != asked {
				t.Errorf("--status is run %v after the start: %v, want %v", after, ok, asked)
			}
		}
	})
	t.Run("PL-17 the heartbeat resumes", func(t *testing.T) {
		s := silent(t, 66*time.Second).heartbeat(0, true).want(Running, plugin.StateRunning).wantReport(plugin.StatusRunning)
		if e, ok := effect[Disarm](s); !ok || e.Timer != TimerSilence {
			t.Errorf("%+v", e)
		}
	})
	t.Run("RS-05 a plugin with heartbeats is healthy only after one", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{})
		s.apply(seenDead, begun, startFails, begun).heartbeat(30*time.Second, false)
		s.apply(s.startSucceeds(1)).advance(minute).apply(seenRunning)
		if s.l.Record.Failures != 1 {
			t.Errorf("failures %d without a heartbeat, want 1", s.l.Record.Failures)
		}
		if s.heartbeat(time.Second, true); s.l.Record.Failures != 0 {
			t.Errorf("failures %d with a heartbeat, want 0", s.l.Record.Failures)
		}
	})
}
