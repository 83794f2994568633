package policy

import (
	"errors"
	"testing"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// heartbeat hands over a beat that was written that long ago, by the wall clock.
func (s *subject) heartbeat(ago time.Duration, byEvent bool) *subject {
	s.Helper()
	return s.heartbeatAt(s.now.Wall.Add(-ago), byEvent)
}

func (s *subject) heartbeatAt(last time.Time, byEvent bool) *subject {
	s.Helper()
	b := plugin.Heartbeat{Plugin: s.l.Plugin, Found: true, Last: last}
	return s.apply(s.l.HeartbeatFact(b, s.now.Wall.Sub(last), byEvent, s.now))
}

func TestBeatAge(t *testing.T) {
	for _, test := range []struct {
		name    string
		ago     time.Duration // its age by its date at its arrival
		since   time.Duration // time since its arrival
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
			s := newSubject(t, plugin.RestartRecord{}).apply(seenRunning)
			b := plugin.Heartbeat{Plugin: s.l.Plugin, Found: !test.missing, Last: s.now.Wall.Add(-test.ago)}
			if test.unread {
				b.Err = errors.New("not a number")
			}
			s.apply(s.l.HeartbeatFact(b, test.ago, true, s.now)).advance(test.since)
			if got := s.l.PullStatus(s.now); got != test.want {
				t.Errorf("status %s, want %s", got, test.want)
			}
		})
	}
	t.Run("EV-14 a plugin that an operator stopped has failed, even with a recent heartbeat", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{Stopped: true}).heartbeat(0, true)
		if got := s.l.PullStatus(s.now); got != plugin.StatusFailed {
			t.Errorf("status %s", got)
		}
	})
}

func TestClockStep(t *testing.T) {
	for name, step := range map[string]time.Duration{"forward": 5 * time.Hour, "back": -5 * time.Hour} {
		t.Run("EV-06 set "+name+": no false alarm by a pull of the same heartbeat", func(t *testing.T) {
			s := newSubject(t, plugin.RestartRecord{}).apply(seenRunning).heartbeat(0, true)
			last := s.now.Wall
			s.setClock(step).advance(30*time.Second).heartbeatAt(last, false).want(Running, plugin.StateRunning)
			if got := s.l.PullStatus(s.now); got != plugin.StatusRunning {
				t.Errorf("status %s", got)
			}
		})
		t.Run("PL-17 EV-06 set "+name+": hides no hang", func(t *testing.T) {
			s := newSubject(t, plugin.RestartRecord{}).apply(seenRunning).heartbeat(0, true)
			last := s.now.Wall
			s.setClock(step).advance(70*time.Second).heartbeatAt(last, false).want(Degraded, plugin.StateDegraded)
			s.advance(2*minute).apply(Fact{Kind: SilenceDue}, seenRunning).want(Waiting, plugin.StateStarting).wantSpawn(messages.KindRestart)
		})
		t.Run("RS-05 set "+name+": invents no crash loop", func(t *testing.T) {
			s := newSubject(t, plugin.RestartRecord{})
			s.apply(seenDead, begun, s.startSucceeds(1)).advance(minute).setClock(step).apply(Fact{Kind: HealthyDue}, seenRunning)
			s.apply(exitOf(1)).want(Waiting, plugin.StateStarting)
			if a := s.wantSpawn(messages.KindStart); a.Delay != 0 || s.l.Record.Failures != 0 {
				t.Errorf("%+v, %d failures", a, s.l.Record.Failures)
			}
		})
	}
	t.Run("EV-06 while events fail, the file's date counts", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenRunning).heartbeat(0, true)
		last := s.now.Wall
		s.l.DistrustHeartbeatEvents()
		s.setClock(5*time.Hour).heartbeatAt(last, false).want(Degraded, plugin.StateDegraded)
	})
}
