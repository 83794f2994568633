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
	b := plugin.Heartbeat{Plugin: s.l.Plugin, Found: true, Last: last}
	return s.tell(s.l.HeartbeatFact(b, s.now.Wall.Sub(last), byEvent, s.now))
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
			s := newSubject(t, plugin.RestartRecord{}).tell(seenRunning)
			b := plugin.Heartbeat{Plugin: s.l.Plugin, Found: !test.missing, Last: s.now.Wall.Add(-test.ago)}
			if test.unread {
				b.Err = errors.New("not a number")
			}
			s.tell(s.l.HeartbeatFact(b, test.ago, true, s.now)).pass(test.since)
			if got := s.l.PullStatus(s.now); got != test.want {
				t.Errorf("status %s", got)
			}
		})
	}
	t.Run("EV-14 what an operator stopped has failed, though its last beat is young", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{Stopped: true}).beats(0, true)
		if got := s.l.PullStatus(s.now); got != plugin.StatusFailed {
			t.Errorf("status %s", got)
		}
	})
}

func TestClockStep(t *testing.T) {
	for name, step := range map[string]time.Duration{"forward": 5 * time.Hour, "back": -5 * time.Hour} {
		t.Run("EV-06 set "+name+": no false alarm by a pull of the same beat", func(t *testing.T) {
			s := newSubject(t, plugin.RestartRecord{}).tell(seenRunning).beats(0, true)
			last := s.now.Wall
			s.setClock(step).pass(30*time.Second).beatsAt(last, false).want(Running, plugin.StateRunning)
			if got := s.l.PullStatus(s.now); got != plugin.StatusRunning {
				t.Errorf("status %s", got)
			}
		})
		t.Run("PL-17 EV-06 set "+name+": hides no hang", func(t *testing.T) {
			s := newSubject(t, plugin.RestartRecord{}).tell(seenRunning).beats(0, true)
			last := s.now.Wall
			s.setClock(step).pass(70*time.Second).beatsAt(last, false).want(Degraded, plugin.StateDegraded)
			s.pass(2*minute).tell(Fact{Kind: SilenceDue}, seenRunning).want(Waiting, plugin.StateStarting).spawned(messages.KindRestart)
		})
		t.Run("RS-05 set "+name+": invents no crash loop", func(t *testing.T) {
			s := newSubject(t, plugin.RestartRecord{})
			s.tell(seenDead, begun, s.starts(1)).pass(minute).setClock(step).tell(Fact{Kind: HealthyDue}, seenRunning)
			s.tell(exits(1)).want(Waiting, plugin.StateStarting)
			if a := s.spawned(messages.KindStart); a.Delay != 0 || s.l.Record.Failures != 0 {
				t.Errorf("%+v, %d failures", a, s.l.Record.Failures)
			}
		})
	}
	t.Run("EV-06 while events fail, the file's date counts", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).tell(seenRunning).beats(0, true)
		last := s.now.Wall
		s.l.DistrustHeartbeatEvents()
		s.setClock(5*time.Hour).beatsAt(last, false).want(Degraded, plugin.StateDegraded)
	})
}
