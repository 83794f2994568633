package policy

import (
	"errors"
	"testing"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// beats hands over a beat that was written that long ago, by the wall clock.
func (s *subject) beats(ago time.Duration, byEvent bool) *subject {
	s.Helper()
	return s.beatsAt(s.now.Wall.Add(-ago), byEvent)
}

func (s *subject) beatsAt(last time.Time, byEvent bool) *subject {
	s.Helper()
	b := plugin.Beat{Plugin: s.l.Plugin, Found: true, Last: last}
	return s.tell(s.l.BeatFact(b, s.now.Wall.Sub(last), byEvent, s.now))
}

func TestBeatAge(t *testing.T) {
	for _, test := range []struct {
		name    string
		ago     time.Duration // by its date, when it came
		since   time.Duration // that passed since
		unread  bool
		missing bool
		want    plugin.Status
	}{
		{name: "PL-08 young", want: plugin.StatusRunning},
		{name: "PL-08 exactly the interval and 5 s", ago: 65 * time.Second, want: plugin.StatusRunning},
		{name: "PL-08 whole seconds count", ago: 65*time.Second + 999*time.Millisecond, want: plugin.StatusRunning},
		{name: "PL-08 longer", ago: 66 * time.Second, want: plugin.StatusFailed},
		{name: "PL-08 its age when it came and the time since count together", ago: 40 * time.Second, since: 26 * time.Second, want: plugin.StatusFailed},
		{name: "PL-08 an old date does not count as alive because it has come", ago: time.Hour, want: plugin.StatusFailed},
		{name: "PL-09 a date in the future is as good as now", ago: -3 * time.Second, want: plugin.StatusRunning},
		{name: "PL-06 no file", missing: true, ago: time.Hour, want: plugin.StatusRunning},
		{name: "PL-07 PL-10 unreadable", unread: true, ago: time.Hour, want: plugin.StatusRunning},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSubject(t, plugin.Restarts{}).tell(seenRunning)
			b := plugin.Beat{Plugin: s.l.Plugin, Found: !test.missing, Last: s.now.Wall.Add(-test.ago)}
			if test.unread {
				b.Err = errors.New("not a number")
			}
			s.tell(s.l.BeatFact(b, test.ago, true, s.now)).pass(test.since)
			if got := s.l.Status(s.now); got != test.want {
				t.Errorf("status %s", got)
			}
		})
	}
	t.Run("EV-14 what an operator stopped has failed, though its last beat is young", func(t *testing.T) {
		s := newSubject(t, plugin.Restarts{Stopped: true}).beats(0, true)
		if got := s.l.Status(s.now); got != plugin.StatusFailed {
			t.Errorf("status %s", got)
		}
	})
}

func TestClockStep(t *testing.T) {
	for name, step := range map[string]time.Duration{"forward": 5 * time.Hour, "back": -5 * time.Hour} {
		t.Run("EV-06 set "+name+": no false alarm by a pull of the same beat", func(t *testing.T) {
			s := newSubject(t, plugin.Restarts{}).tell(seenRunning).beats(0, true)
			last := s.now.Wall
			s.setClock(step).pass(30*time.Second).beatsAt(last, false).want(Running, plugin.StateRunning)
			if got := s.l.Status(s.now); got != plugin.StatusRunning {
				t.Errorf("status %s", got)
			}
		})
		t.Run("PL-17 EV-06 set "+name+": hides no hang", func(t *testing.T) {
			s := newSubject(t, plugin.Restarts{}).tell(seenRunning).beats(0, true)
			last := s.now.Wall
			s.setClock(step).pass(70*time.Second).beatsAt(last, false).want(Degraded, plugin.StateDegraded)
			s.pass(2*minute).tell(Fact{Kind: SilenceDue}, seenRunning).want(Waiting, plugin.StateStarting).spawned(messages.KindRestart)
		})
		t.Run("RS-05 set "+name+": invents no crash loop", func(t *testing.T) {
			s := newSubject(t, plugin.Restarts{})
			s.tell(seenDead, begun, s.starts(1)).pass(minute).setClock(step).tell(Fact{Kind: HealthyDue}, seenRunning)
			s.tell(exits(1)).want(Waiting, plugin.StateStarting)
			if a := s.spawned(messages.KindStart); a.After != 0 || s.l.Record.Failures != 0 {
				t.Errorf("%+v, %d failures", a, s.l.Record.Failures)
			}
		})
	}
	t.Run("EV-06 while events fail, the file's date counts", func(t *testing.T) {
		s := newSubject(t, plugin.Restarts{}).tell(seenRunning).beats(0, true)
		last := s.now.Wall
		s.l.DistrustBeats()
		s.setClock(5*time.Hour).beatsAt(last, false).want(Degraded, plugin.StateDegraded)
	})
}

func TestHang(t *testing.T) {
	silent := func(t *testing.T, d time.Duration) *subject {
		return newSubject(t, plugin.Restarts{}).tell(seenRunning).beats(0, true).pass(d).beats(d, false)
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
		s := newSubject(t, plugin.Restarts{}).tell(seenDead, begun).beats(4*minute, false)
		if s.tell(s.starts(1)); s.l.Phase() != Running {
			t.Fatal(s.l.Phase())
		}
		if e, ok := effect[Arm](s); !ok || e.Timer != TimerSilence || e.After != 181*time.Second {
			t.Errorf("%+v", e)
		}
		for after, asked := range map[time.Duration]bool{3 * minute: false, 181 * time.Second: true} {
			s := newSubject(t, plugin.Restarts{}).tell(seenDead, begun).beats(4*minute, false)
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
		s := newSubject(t, plugin.Restarts{})
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
