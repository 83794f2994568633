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

// scenario is one plugin with its heartbeat file, both clocks and its beatDeadline.
// The interval is 10 s. The wall clock starts 0.3 s after a full second, so a
// heartbeat written at the start is overdue 15.7 s later (PL-08).
type scenario struct {
	d        *beatDeadline
	now      instant
	file     reading
	reported []string
	ages     []time.Duration // of the beatEvents
	lostAt   []time.Duration
}

func newScenario() *scenario {
	p := plugin.Plugin{Name: "p", Version: "1", HeartbeatInterval: 10 * time.Second}
	now := instant{wall: time.Unix(1_700_000_000, 300_000_000)}
	return &scenario{d: newBeatDeadline(p, newWatchedDir(""), now), now: now}
}

// handleDue does the due work, as the watch loop does.
func (s *scenario) handleDue() {
	for s.d.due() <= s.now.mono {
		if s.d.nextWatch <= s.now.mono || s.d.deadline <= s.now.mono {
			s.d.nextWatch, s.d.nextRead = never, s.now.mono
		}
		if s.d.nextRead <= s.now.mono {
			if p, report := s.d.update(s.now, s.file); report {
				s.report(p)
			}
		}
		if p, report := s.d.expire(s.now); report {
			s.report(p)
		}
	}
}

func (s *scenario) report(p plugin.HeartbeatEvent) {
	what := "beat"
	switch {
	case p.Lost:
		what = "lost"
		s.lostAt = append(s.lostAt, s.now.mono)
	case p.Heartbeat.Err != nil:
		what = "error"
	}
	s.reported = append(s.reported, fmt.Sprintf("%v %s", s.now.mono, what))
	s.ages = append(s.ages, p.Age)
}

func (s *scenario) pass(d time.Duration) {
	end := s.now.mono + d
	for {
		s.handleDue()
		next := min(s.d.due(), end)
		s.setClock(next - s.now.mono)
		s.now.mono = next
		if next == end {
			s.handleDue()
			return
		}
	}
}

// setClock moves the wall clock only.
func (s *scenario) setClock(d time.Duration) { s.now.wall = s.now.wall.Add(d) }

// write writes a date of that age to the file, without an event.
func (s *scenario) write(age time.Duration) {
	s.file = reading{found: true, date: s.now.wall.Add(-age).Truncate(time.Second), modified: s.now.wall, changed: s.now.wall}
}

// event reports an event of the file.
func (s *scenario) event() {
	s.d.noteEvent(s.now)
	s.handleDue()
}

func (s *scenario) beatOf(age time.Duration) { s.write(age); s.event() }
func (s *scenario) beat()                    { s.beatOf(0) }

// repeat writes the last date again.
func (s *scenario) repeat() {
	s.file.modified, s.file.changed = s.now.wall, s.now.wall
	s.event()
}

func (s *scenario) writeGarbage() {
	s.file = reading{found: true, modified: s.now.wall, changed: s.now.wall, err: errors.New("no number")}
	s.event()
}

func (s *scenario) remove() {
	s.file = reading{}
	s.event()
}

const hour = time.Hour

// reportCase is a scenario and the expected reports.
type reportCase struct {
	name string
	run  func(s *scenario)
	want []string
}

func checkReported(t *testing.T, cases []reportCase) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := newScenario()
			tc.run(s)
			if diff := cmp.Diff(tc.want, s.reported); diff != "" {
				t.Error("want (-), reported (+):\n", diff)
			}
		})
	}
}

func TestBeatDeadline(t *testing.T) {
	checkReported(t, []reportCase{
		{"EV-06 lost as soon as PL-08 says so", func(s *scenario) { s.beat(); s.pass(hour) }, []string{"0s beat", "15.7s lost"}},
		{"EV-06 reported once, until it beats again", func(s *scenario) {
			s.beat()
			s.pass(20 * time.Second)
			s.beat()
			s.pass(hour)
		}, []string{"0s beat", "15.7s lost", "20s beat", "35.7s lost"}},
		{"EV-06 a beat in time moves the deadline", func(s *scenario) {
			for range 3 {
				s.beat()
				s.pass(15 * time.Second)
			}
			s.pass(hour)
		}, []string{"0s beat", "15s beat", "30s beat", "45.7s lost"}},

		{"PL-06 no file", func(s *scenario) { s.pass(hour); s.beat() }, []string{"1h0m0s beat"}},
		{"PL-06 removed: nothing is reported", func(s *scenario) { s.beat(); s.pass(2 * time.Second); s.remove(); s.pass(hour) }, []string{"0s beat"}},
		{"PL-06 removed and written again", func(s *scenario) {
			s.beat()
			s.pass(2 * time.Second)
			s.remove()
			s.beat()
			s.pass(hour)
		}, []string{"0s beat", "3s beat", "17.7s lost"}},
	})
}

// PL-08 PL-09: the age of a heartbeat comes from the date in the file.
func TestBeatDate(t *testing.T) {
	checkReported(t, []reportCase{
		// The age at the first read, by the date.
		{"PL-08 found at first: its date counts", func(s *scenario) { s.write(5 * time.Second); s.pass(hour) }, []string{"0s beat", "10.7s lost"}},
		{"PL-08 found at first, interval + 5 s old", func(s *scenario) { s.write(15 * time.Second); s.pass(hour) }, []string{"0s beat", "700ms lost"}},
		{"PL-08 found at first, a second older", func(s *scenario) { s.write(16 * time.Second); s.pass(hour) }, []string{"0s lost"}},
		{"PL-08 arrives 5 s old", func(s *scenario) { s.beatOf(5 * time.Second); s.pass(hour) }, []string{"0s beat", "10.7s lost"}},
		{"PL-08 arrives interval + 5 s old", func(s *scenario) { s.beatOf(15 * time.Second); s.pass(hour) }, []string{"0s beat", "700ms lost"}},
		{"PL-08 arrives a second older", func(s *scenario) { s.beatOf(16 * time.Second); s.pass(hour) }, []string{"0s lost"}},
		{"PL-08 nine beats of 5000 s ago", func(s *scenario) {
			for range 9 {
				s.beatOf(5000 * time.Second)
				s.pass(10 * time.Second)
			}
		}, []string{"0s lost"}},
		{"PL-08 old beats, then one of now, then old ones", func(s *scenario) {
			s.beatOf(5000 * time.Second)
			s.pass(10 * time.Second)
			s.beat()
			s.pass(10 * time.Second)
			s.beatOf(5000 * time.Second)
			s.pass(10 * time.Second)
			s.beatOf(5000 * time.Second)
			s.pass(hour)
		}, []string{"0s lost", "10s beat", "20s lost"}},
		{"PL-08 an old beat before its event", func(s *scenario) {
			s.write(2 * hour)
			s.d.nextRead = s.now.mono
			s.handleDue()
			s.event()
			s.pass(hour)
		}, []string{"0s lost"}},
		{"PL-08 repeating the last date is no beat", func(s *scenario) {
			s.beat()
			for range 9 {
				s.pass(5 * time.Second)
				s.repeat()
			}
		}, []string{"0s beat", "15.7s lost"}},

		{"PL-09 dates five seconds ahead are 0 old", func(s *scenario) { s.beatOf(-5 * time.Second); s.pass(hour) }, []string{"0s beat", "16s lost"}},
		{"PL-09 dates further ahead: the time of the write counts", func(s *scenario) { s.beatOf(-hour); s.pass(2 * hour) }, []string{"0s beat", "15.7s lost"}},
		{"PL-09 dates further ahead, in a file written long ago", func(s *scenario) {
			s.write(-hour)
			s.file.modified = s.now.wall.Add(-20 * time.Second)
			s.event()
			s.pass(2 * hour)
		}, []string{"0s lost"}},
		{"PL-09 dates further ahead, repeated: each write is a beat", func(s *scenario) {
			s.beatOf(-hour)
			s.pass(10 * time.Second)
			s.repeat()
			s.pass(hour)
		}, []string{"0s beat", "10s beat", "25.7s lost"}},
		{"PL-09 all times ahead: an error", func(s *scenario) {
			s.write(-hour)
			s.file.modified, s.file.changed = s.file.date, s.file.date
			s.event()
			s.pass(2 * hour)
		}, []string{"1.06s error"}},
	})
}

func TestBeatEvents(t *testing.T) {
	checkReported(t, []reportCase{
		{"EV-06 an event was missed", func(s *scenario) {
			s.beat()
			s.pass(9 * time.Second)
			s.write(0)
			s.pass(hour)
		}, []string{"0s beat", "15.7s beat", "24.7s lost"}},
		{"EV-06 a chmod of a lost beat is no beat", func(s *scenario) {
			s.beat()
			s.pass(20 * time.Second)
			s.file.changed = s.now.wall
			s.event()
			s.pass(hour)
		}, []string{"0s beat", "15.7s lost"}},
		{"EV-06 of a burst the first and the last are reported", func(s *scenario) {
			for range 15 {
				s.beat()
				s.pass(100 * time.Millisecond)
			}
			s.pass(hour)
		}, []string{"0s beat", "1s beat", "16.7s lost"}},
	})
}

func TestBeatErrors(t *testing.T) {
	checkReported(t, []reportCase{
		{"PL-07 an error is reported once", func(s *scenario) {
			s.writeGarbage()
			s.pass(time.Minute)
			s.writeGarbage()
			s.pass(time.Minute)
			s.beat()
			s.pass(hour)
		}, []string{"1.06s error", "2m0s beat", "2m15.7s lost"}},
		{"PL-07 found without a date", func(s *scenario) {
			s.file = reading{found: true, err: errors.New("empty")}
			s.pass(hour)
		}, []string{"1.06s error"}},
		{"PL-07 a beat, then an error: not lost", func(s *scenario) { s.beat(); s.pass(5 * time.Second); s.writeGarbage(); s.pass(hour) }, []string{"0s beat", "6.06s error"}},
		{"PL-07 garbage written all the time", func(s *scenario) {
			for range 400 {
				s.writeGarbage()
				s.pass(100 * time.Millisecond)
			}
		}, []string{"30.06s error"}},
		{"EV-06 read while it is emptied", func(s *scenario) {
			s.writeGarbage()
			s.pass(5 * time.Millisecond)
			s.beat()
			s.pass(hour)
		}, []string{"20ms beat", "15.7s lost"}},
		{"EV-06 read while it is emptied, at the deadline", func(s *scenario) {
			s.beat()
			s.pass(15700*time.Millisecond - 1)
			s.writeGarbage()
			s.pass(5 * time.Millisecond)
			s.beat()
			s.pass(10 * time.Second)
		}, []string{"0s beat", "15.72s beat"}},
	})
}

// PL-08: an event carries the age at arrival, or the current age of a lost
// heartbeat.
func TestEventAge(t *testing.T) {
	for _, tc := range []struct {
		name string
		run  func(s *scenario)
		want []time.Duration
	}{
		{"PL-08 of now", func(s *scenario) { s.beat() }, []time.Duration{300 * time.Millisecond}},
		{"PL-08 seconds old", func(s *scenario) { s.beatOf(7 * time.Second) }, []time.Duration{7300 * time.Millisecond}},
		{"PL-08 too old", func(s *scenario) { s.beatOf(5000 * time.Second) }, []time.Duration{5000300 * time.Millisecond}},
		{"PL-08 lost", func(s *scenario) { s.beat(); s.pass(time.Hour) }, []time.Duration{300 * time.Millisecond, 16 * time.Second}},
		{"PL-09 ahead", func(s *scenario) { s.beatOf(-5 * time.Second) }, []time.Duration{0}},
		{"EV-06 lost after the clock was set forward", func(s *scenario) { s.beat(); s.setClock(time.Hour); s.pass(time.Hour) }, []time.Duration{300 * time.Millisecond, 16 * time.Second}},
		{"EV-06 lost after the clock was set back", func(s *scenario) { s.beat(); s.setClock(-time.Hour); s.pass(time.Hour) }, []time.Duration{300 * time.Millisecond, 16 * time.Second}},
		{"EV-06 handled 3 s after it arrived", func(s *scenario) {
			s.handleDue()
			s.write(7 * time.Second)
			s.pass(3 * time.Second)
			s.event()
		}, []time.Duration{7300 * time.Millisecond}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScenario()
			tc.run(s)
			if diff := cmp.Diff(tc.want, s.ages); diff != "" {
				t.Error("want (-), got (+):\n", diff)
			}
		})
	}
}

// EV-06: for any gaps between heartbeats, one is lost when its status becomes
// failed, if the clock is not set.
func TestLostWhenFailed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScenario()
		s.pass(0) // the file does not exist yet
		var want []string
		for _, gap := range rapid.SliceOfN(rapid.IntRange(1000, 40000), 1, 20).Draw(t, "gaps in ms") {
			age := time.Duration(rapid.IntRange(0, 20).Draw(t, "age in s")) * time.Second
			if date := s.now.wall.Add(-age).Truncate(time.Second); date.Equal(s.d.beat.Last) {
				age += time.Second // else it is no new beat
			}
			s.beatOf(age)
			last := s.d.beat
			gap := time.Duration(gap) * time.Millisecond
			left := last.Last.Add(16 * time.Second).Sub(s.now.wall)
			wasLost := len(want) > 0 && want[len(want)-1][len(want[len(want)-1])-4:] == "lost"
			if left > 0 {
				want = append(want, fmt.Sprintf("%v beat", s.now.mono))
			}
			if left <= gap && (left > 0 || !wasLost) {
				want = append(want, fmt.Sprintf("%v lost", s.now.mono+max(0, left)))
			}
			for range 2 { // at the end of the gap, and where it is cut
				if failed := last.StatusAt(s.now.wall) == plugin.StatusFailed; failed != s.d.lost {
					t.Fatalf("at %v: Status failed %v, lost %v", s.now.mono, failed, s.d.lost)
				}
				s.pass(gap / 2)
			}
			s.pass(gap - 2*(gap/2))
		}
		if diff := cmp.Diff(want, s.reported); diff != "" {
			t.Fatal("want (-), reported (+):\n", diff)
		}
	})
}

// EV-06: when the clock is set at any time, a plugin that writes in time is not
// lost, and a plugin that hangs is lost at its deadline.
func TestClockSetAtAnyTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScenario()
		s.pass(0)
		n := rapid.IntRange(1, 20).Draw(t, "beats")
		var lastBeat time.Duration
		for i := range n {
			var steps [3]time.Duration
			if i%2 == 1 { // once between two reads
				steps[rapid.IntRange(0, 2).Draw(t, "when")] = time.Duration(rapid.IntRange(-20000, 20000).Draw(t, "set by ms")) * time.Millisecond
			}
			s.setClock(steps[0])
			s.write(0)
			lastBeat = s.now.mono
			s.pass(time.Second) // the event waits in the queue
			s.setClock(steps[1])
			s.event()
			s.pass(4 * time.Second)
			s.setClock(steps[2])
			s.pass(4 * time.Second)
		}
		s.pass(time.Hour)
		if len(s.lostAt) != 1 || s.lostAt[0] < lastBeat+15*time.Second-minClockStep || s.lostAt[0] > lastBeat+17*time.Second {
			t.Fatalf("reported %q, want one loss 15 s to 17 s after the last beat at %v", s.reported, lastBeat)
		}
	})
}

// An interval that is too long for a time.Duration, or negative, delays no other plugin.
func TestExtremeIntervals(t *testing.T) {
	for _, interval := range []time.Duration{never, longest, -1, -never} {
		s := newScenario()
		s.d.beat.Plugin.HeartbeatInterval = interval
		s.beat()
		s.pass(time.Hour)
		want := 1
		if interval < 0 {
			want = 2
		}
		if len(s.reported) != want {
			t.Errorf("interval %v: reported %q, want %d reports", interval, s.reported, want)
		}
	}
}
