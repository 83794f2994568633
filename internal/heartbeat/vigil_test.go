package heartbeat

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pluginsupervisor/plugin"
)

// stage plays one plugin, its heartbeat file and both clocks to a vigil. The
// interval is 10 s and the wall clock 0.3 s past a second at the beginning, so
// a beat of then is failed 15.7 s later by its date (PL-08).
type stage struct {
	v    *vigil
	now  moment
	file plugin.Beat
	told []string
}

func newStage() *stage {
	p := plugin.Plugin{Name: "p", Version: "1", HeartbeatInterval: 10 * time.Second}
	return &stage{
		v: newVigil(p, newFolder("")), file: plugin.Beat{Plugin: p},
		now: moment{wall: time.Unix(1_700_000_000, 300_000_000)},
	}
}

// attend does what is due, as following does.
func (s *stage) attend() {
	for s.v.due() <= s.now.mono {
		if s.v.retry <= s.now.mono || s.v.deadline <= s.now.mono {
			s.v.retry, s.v.look = never, s.now.mono
		}
		if s.v.look <= s.now.mono {
			if p, tell := s.v.see(s.now, s.file); tell {
				s.tell(p)
			}
		}
		if p, tell := s.v.expire(s.now); tell {
			s.tell(p)
		}
	}
}

func (s *stage) tell(p plugin.Pulse) {
	what := "beat"
	switch {
	case p.Lost:
		what = "lost"
	case p.Beat.Err != nil:
		what = "nothing"
	}
	s.told = append(s.told, fmt.Sprintf("%v %s", s.now.mono, what))
}

func (s *stage) pass(d time.Duration) {
	end := s.now.mono + d
	for {
		s.attend()
		next := min(s.v.due(), end)
		s.step(next - s.now.mono)
		s.now.mono = next
		if next == end {
			s.attend()
			return
		}
	}
}

// step sets the wall clock, and nothing else.
func (s *stage) step(d time.Duration) { s.now.wall = s.now.wall.Add(d) }

// put changes the file unheard; age is how old its date is.
func (s *stage) put(age time.Duration) {
	s.file.Found, s.file.Err, s.file.Last = true, nil, s.now.wall.Add(-age).Truncate(time.Second)
}

func (s *stage) touched() {
	s.v.arrive(s.now, 0)
	s.attend()
}

func (s *stage) beat() { s.put(0); s.touched() }

// noticed has an event noticed that may have waited five seconds, of a file
// written that long ago.
func (s *stage) noticed(ago time.Duration) {
	s.v.arrive(s.now, 5*time.Second)
	s.v.written(s.now.wall.Add(-ago))
	s.attend()
}

func (s *stage) garbage() {
	s.file = plugin.Beat{Plugin: s.file.Plugin, Found: true, Err: errors.New("no number")}
	s.touched()
}

func (s *stage) remove() {
	s.file = plugin.Beat{Plugin: s.file.Plugin}
	s.touched()
}

func TestVigil(t *testing.T) {
	const hour = time.Hour
	for _, tc := range []struct {
		name string
		play func(s *stage)
		want []string
	}{
		{"EV-06 lost as soon as PL-08 says so", func(s *stage) { s.beat(); s.pass(hour) }, []string{"0s beat", "15.7s lost"}},
		{"EV-06 told once, until it beats again", func(s *stage) {
			s.beat()
			s.pass(20 * time.Second)
			s.beat()
			s.pass(hour)
		}, []string{"0s beat", "15.7s lost", "20s beat", "35.7s lost"}},
		{"EV-06 a beat in time moves the deadline", func(s *stage) {
			for range 3 {
				s.beat()
				s.pass(15 * time.Second)
			}
			s.pass(hour)
		}, []string{"0s beat", "15s beat", "30s beat", "45.7s lost"}},

		{"PL-06 no file", func(s *stage) { s.pass(hour); s.beat() }, []string{"1h0m0s beat"}},
		{"PL-06 removed: neither lost nor there", func(s *stage) { s.beat(); s.pass(2 * time.Second); s.remove(); s.pass(hour) }, []string{"0s beat"}},
		{"PL-06 removed and written again", func(s *stage) {
			s.beat()
			s.pass(2 * time.Second)
			s.remove()
			s.beat()
			s.pass(hour)
		}, []string{"0s beat", "3s beat", "17.7s lost"}},

		{"EV-06 found at first: judged by its date", func(s *stage) { s.put(5 * time.Second); s.pass(hour) }, []string{"0s beat", "10.7s lost"}},
		{"EV-06 found at first, overdue", func(s *stage) { s.put(16 * time.Second); s.pass(hour) }, []string{"0s lost"}},
		{"EV-06 found at first, exactly interval + 5 s old", func(s *stage) { s.put(15 * time.Second); s.pass(hour) }, []string{"0s beat", "700ms lost"}},

		{"EV-06 clock set forward", func(s *stage) {
			s.beat()
			s.step(3 * hour)
			s.pass(14 * time.Second)
			s.beat()
			s.pass(hour)
		}, []string{"0s beat", "14s beat", "29.7s lost"}},
		{"EV-06 set forward between date and write", func(s *stage) {
			s.put(0)
			s.step(3 * hour)
			s.touched()
			s.pass(10 * time.Second)
			s.beat()
			s.pass(5 * time.Second)
		}, []string{"0s beat", "10s beat"}},
		{"EV-06 clock set back, the plugin hangs", func(s *stage) { s.beat(); s.step(-3 * hour); s.pass(hour) }, []string{"0s beat", "15.7s lost"}},
		{"EV-06 the same, and its date is ahead now (PL-09)", func(s *stage) {
			s.beat()
			s.step(-3 * hour)
			s.file = plugin.Beat{Plugin: s.file.Plugin, Found: true, Err: errors.New("in the future")}
			s.pass(hour)
		}, []string{"0s beat", "15.7s lost"}},
		{"EV-06 clock slewed back: not before PL-08 says so", func(s *stage) { s.beat(); s.step(-2 * time.Second); s.pass(hour) }, []string{"0s beat", "17.7s lost"}},
		{"EV-06 set back by an interval: the same date is a beat", func(s *stage) {
			s.beat()
			s.pass(10 * time.Second)
			s.step(-10 * time.Second)
			s.beat()
			s.pass(hour)
		}, []string{"0s beat", "25.7s lost"}},

		{"EV-06 the last date repeated is no life", func(s *stage) {
			s.beat()
			for range 9 {
				s.pass(5 * time.Second)
				s.touched()
			}
		}, []string{"0s beat", "15.7s lost"}},
		{"EV-06 dates two hours behind: arrivals count", func(s *stage) {
			for range 3 {
				s.put(2 * hour)
				s.touched()
				s.pass(10 * time.Second)
			}
			s.pass(hour)
		}, []string{"0s beat", "10s beat", "20s beat", "35s lost"}},
		{"EV-06 the same, one seen before it is heard of", func(s *stage) {
			s.put(2 * hour)
			s.touched()
			s.pass(10 * time.Second)
			s.put(2 * hour)
			s.v.look = s.now.mono
			s.attend()
			s.touched()
			s.pass(hour)
		}, []string{"0s beat", "10s beat", "25s lost"}},
		{"PL-09 dates five seconds ahead", func(s *stage) { s.put(-5 * time.Second); s.touched(); s.pass(hour) }, []string{"0s beat", "20.7s lost"}},
		{"EV-06 an event was missed", func(s *stage) {
			s.beat()
			s.pass(9 * time.Second)
			s.put(0)
			s.pass(hour)
		}, []string{"0s beat", "15.7s beat", "24.7s lost"}},

		{"EV-06 a burst is told first and last", func(s *stage) {
			for range 15 {
				s.beat()
				s.pass(100 * time.Millisecond)
			}
			s.pass(hour)
		}, []string{"0s beat", "1s beat", "16.7s lost"}},
		{"EV-06 noticed late, it counts from when it came", func(s *stage) { s.put(3 * time.Second); s.noticed(3 * time.Second); s.pass(hour) }, []string{"0s beat", "12.7s lost"}},
		{"EV-06 … but from no earlier than it can have come", func(s *stage) { s.put(hour); s.noticed(hour); s.pass(hour) }, []string{"0s beat", "10s lost"}},
		{"EV-06 … and not from the future", func(s *stage) { s.put(hour); s.noticed(-hour); s.pass(hour) }, []string{"0s beat", "15s lost"}},
		{"PL-07 nothing is told once", func(s *stage) {
			s.garbage()
			s.pass(time.Minute)
			s.garbage()
			s.pass(time.Minute)
			s.beat()
			s.pass(hour)
		}, []string{"1.06s nothing", "2m0s beat", "2m15.7s lost"}},
		{"PL-07 found saying nothing", func(s *stage) {
			s.file.Found, s.file.Err = true, errors.New("empty")
			s.pass(hour)
		}, []string{"1.06s nothing"}},
		{"PL-07 beat, then nothing: not lost", func(s *stage) { s.beat(); s.pass(5 * time.Second); s.garbage(); s.pass(hour) }, []string{"0s beat", "6.06s nothing"}},
		{"PL-07 nothing again and again", func(s *stage) {
			for range 400 {
				s.garbage()
				s.pass(100 * time.Millisecond)
			}
		}, []string{"30.06s nothing"}},
		{"EV-06 caught while it is emptied", func(s *stage) {
			s.garbage()
			s.pass(5 * time.Millisecond)
			s.beat()
			s.pass(hour)
		}, []string{"20ms beat", "15.7s lost"}},
		{"EV-06 caught so at the deadline", func(s *stage) {
			s.beat()
			s.pass(15700*time.Millisecond - 1)
			s.garbage()
			s.pass(5 * time.Millisecond)
			s.beat()
			s.pass(10 * time.Second)
		}, []string{"0s beat", "15.72s beat"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage()
			tc.play(s)
			if diff := cmp.Diff(tc.want, s.told); diff != "" {
				t.Error("want (-), told (+):\n", diff)
			}
		})
	}
}

// EV-06: whatever the gaps between beats, a beat is lost if and when Status
// begins to call it failed, on a clock that nobody sets.
func TestLostWhenFailed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStage()
		s.pass(0) // the file is not there yet
		var want []string
		for _, gap := range rapid.SliceOfN(rapid.IntRange(1000, 40000), 1, 20).Draw(t, "gaps in ms") {
			s.beat()
			want = append(want, fmt.Sprintf("%v beat", s.now.mono))
			gap := time.Duration(gap) * time.Millisecond
			left := s.now.wall.Truncate(time.Second).Add(16 * time.Second).Sub(s.now.wall)
			if left <= gap {
				want = append(want, fmt.Sprintf("%v lost", s.now.mono+left))
			}
			s.pass(gap)
		}
		if diff := cmp.Diff(want, s.told); diff != "" {
			t.Fatal("want (-), told (+):\n", diff)
		}
	})
}

// PL-08: untilFailed is when Status changes, whatever the interval.
func TestUntilFailed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wall := time.Unix(1_700_000_000, rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		b := plugin.Beat{Last: time.Unix(rapid.Int64Range(0, 1_700_000_005).Draw(t, "date"), 0)}
		b.Plugin.HeartbeatInterval = time.Duration(rapid.Int64Range(0, int64(longest)-int64(time.Minute)).Draw(t, "interval"))
		at := wall.Add(untilFailed(b, wall))
		if b.Status(at) != plugin.StatusFailed || b.Status(at.Add(-1)) != plugin.StatusRunning {
			t.Fatalf("%v, and 1 ns before %v", b.Status(at), b.Status(at.Add(-1)))
		}
	})
}

// An interval that no time can hold, or a negative one, delays nobody else.
func TestIntervalsBeyondSense(t *testing.T) {
	for _, interval := range []time.Duration{never, longest, -1, -never} {
		s := newStage()
		s.file.Plugin.HeartbeatInterval = interval
		s.v.beat.Plugin.HeartbeatInterval = interval
		s.beat()
		s.pass(time.Hour)
		want := 1
		if interval < 0 {
			want = 2
		}
		if len(s.told) != want {
			t.Errorf("%v: %q", interval, s.told)
		}
	}
}
