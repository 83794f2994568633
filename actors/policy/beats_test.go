package policy

import (
	"testing"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

func TestHang(t *testing.T) {
	silent := func(t *testing.T, d time.Duration) *subject {
		return newSubject(t, plugin.RestartRecord{}).tell(seenRunning).beats(0, true).pass(d).beats(d, false)
	}
	t.Run("PL-17 overdue: degraded, reported, asked at once", func(t *testing.T) {
		s := silent(t, 66*time.Second).want(Degraded, plugin.StateDegraded).reported(plugin.StatusFailed)
		if _, ok := effect[Check](s); !ok {
			t.Error("--status is not asked")
		}
		if e, ok := effect[Arm](s); !ok || e.Timer != TimerSilence || e.After != 115*time.Second {
			t.Errorf("%+v", e)
		}
	})
	t.Run("PL-17 overdue and dead: restarted", func(t *testing.T) {
		silent(t, 66*time.Second).tell(seenDead).want(Waiting, plugin.StateStarting).spawned(messages.KindStart)
	})
	t.Run("PL-17 runs, and has not been silent for three intervals", func(t *testing.T) {
		silent(t, 66*time.Second).tell(seenRunning).want(Degraded, plugin.StateDegraded).pass(114*time.Second).tell(seenRunning).want(Degraded, plugin.StateDegraded)
	})
	t.Run("PL-17 runs, and has been silent for three intervals: stopped and started", func(t *testing.T) {
		s := silent(t, 66*time.Second).pass(115 * time.Second).tell(Fact{Kind: SilenceDue})
		if _, ok := effect[Check](s); !ok {
			t.Error("--status is not asked")
		}
		s.tell(seenRunning).want(Waiting, plugin.StateStarting)
		if a := s.spawned(messages.KindRestart); a.Plugin.Name != "a" || s.l.why != "hangs: no heartbeat for 3m1s" {
			t.Errorf("%+v %q", a, s.l.why)
		}
	})
	t.Run("PL-17 not where it is turned off", func(t *testing.T) {
		s := silent(t, 4*minute)
		s.config.OnHang = false
		s.tell(seenRunning).want(Degraded, plugin.StateDegraded)
	})
	t.Run("PL-17 a last start that is later than the last beat counts", func(t *testing.T) {
		s := silent(t, 4*minute).tell(seenDead, begun)
		s.tell(s.starts(1)).pass(30*time.Second).beats(4*minute+30*time.Second, false).want(Running, plugin.StateRunning)
		s.pass(36*time.Second).beats(5*minute+6*time.Second, false).tell(seenRunning).want(Degraded, plugin.StateDegraded)
		s.pass(115*time.Second).tell(seenRunning).want(Waiting, plugin.StateCrashLoop).spawned(messages.KindRestart)
	})
	t.Run("PL-17 a last start that is later than the last beat: asked when that is three intervals ago", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).tell(seenDead, begun).beats(4*minute, false)
		if s.tell(s.starts(1)); s.l.Phase() != Running {
			t.Fatal(s.l.Phase())
		}
		if e, ok := effect[Arm](s); !ok || e.Timer != TimerSilence || e.After != 181*time.Second {
			t.Errorf("%+v", e)
		}
		for after, asked := range map[time.Duration]bool{3 * minute: false, 181 * time.Second: true} {
			s := newSubject(t, plugin.RestartRecord{}).tell(seenDead, begun).beats(4*minute, false)
			s.tell(s.starts(1)).pass(after).tell(Fact{Kind: SilenceDue})
			if _, ok := effect[Check](s); ok != asked {
				t.Errorf("asked %v after %v", ok, after)
			}
		}
	})
	t.Run("PL-17 it beats again", func(t *testing.T) {
		s := silent(t, 66*time.Second).beats(0, true).want(Running, plugin.StateRunning).reported(plugin.StatusRunning)
		if e, ok := effect[Disarm](s); !ok || e.Timer != TimerSilence {
			t.Errorf("%+v", e)
		}
	})
	t.Run("RS-05 one that beats at all has to beat before it is healthy", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{})
		s.tell(seenDead, begun, startFails, begun).beats(30*time.Second, false)
		s.tell(s.starts(1)).pass(minute).tell(seenRunning)
		if s.l.Record.Failures != 1 {
			t.Errorf("failures %d without a beat", s.l.Record.Failures)
		}
		if s.beats(time.Second, true); s.l.Record.Failures != 0 {
			t.Errorf("failures %d with a beat", s.l.Record.Failures)
		}
	})
}
