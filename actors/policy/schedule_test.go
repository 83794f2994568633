package policy

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"pluginsupervisor/plugin"
)

func at(d time.Duration) time.Time { return epoch.Add(d) }

func TestPeriod(t *testing.T) {
	fresh := func() period {
		p := period{interval: 10 * minute}
		p.setDue(at(10 * minute))
		return p
	}
	t.Run("TM-01 due while its work runs: skipped and counted", func(t *testing.T) {
		p := fresh()
		p.begin(at(minute))
		if p.fire(at(10*minute)) || p.skipped != 1 {
			t.Errorf("skipped %d", p.skipped)
		}
		if !p.due.Equal(at(20 * minute)) {
			t.Errorf("due %v", p.due)
		}
		p.end()
		if !p.fire(at(20 * minute)) {
			t.Error("not fired after its work ended")
		}
	})
	t.Run("TM-02 its own answer: due is now + interval", func(t *testing.T) {
		p := fresh()
		p.fire(at(10 * minute))
		p.dueAfterAnswer(at(13 * minute))
		if !p.due.Equal(at(23 * minute)) {
			t.Errorf("due %v", p.due)
		}
	})
	for name, test := range map[string]struct {
		started, now time.Duration
		interval     time.Duration
		mayPush      bool
		want         time.Duration
	}{
		"TM-02 the other timer, unchanged":                            {5 * minute, 6 * minute, 10 * minute, true, 10 * minute},
		"TM-02 the other timer, shorter":                              {5 * minute, 6 * minute, 3 * minute, true, 8 * minute},
		"TM-02 the other timer, shorter and past":                     {5 * minute, 9 * minute, 3 * minute, true, 9 * minute},
		"TM-02 the other timer, longer":                               {5 * minute, 6 * minute, 30 * minute, true, 35 * minute},
		"TM-02 an answer to another report never pushes it later":     {5 * minute, 6 * minute, 30 * minute, false, 10 * minute},
		"TM-02 an answer to another report may pull it in":            {5 * minute, 6 * minute, 2 * minute, false, 7 * minute},
		"TM-02 a timer that never ran keeps its first run's due time": {-1, 6 * minute, 2 * minute, true, 10 * minute},
	} {
		t.Run(name, func(t *testing.T) {
			p := fresh()
			if test.started >= 0 {
				p.started = at(test.started)
			}
			p.changeInterval(at(test.now), test.interval, test.mayPush)
			if !p.due.Equal(at(test.want)) || p.interval != test.interval {
				t.Errorf("due %v every %v", p.due.Sub(epoch), p.interval)
			}
		})
	}
	t.Run("TM-03 no answer: previous due + interval", func(t *testing.T) {
		p := fresh()
		p.fire(at(10*minute + 700*time.Millisecond))
		if !p.due.Equal(at(20 * minute)) {
			t.Errorf("due %v", p.due)
		}
	})
	t.Run("TM-03 PL-01 a postponed run does not move the ones after it", func(t *testing.T) {
		p := fresh()
		p.postpone(at(14 * minute))
		p.fire(at(14 * minute))
		if !p.due.Equal(at(20 * minute)) {
			t.Errorf("due %v", p.due)
		}
	})
	t.Run("TM-07 suspended for hours: one run, no burst", func(t *testing.T) {
		p := fresh()
		p.adjustToClock(at(300 * minute))
		if !p.due.Equal(at(300 * minute)) {
			t.Errorf("due %v", p.due)
		}
		p.fire(at(300 * minute))
		if !p.due.Equal(at(310 * minute)) {
			t.Errorf("next %v", p.due)
		}
	})
	t.Run("TM-07 the clock set back by hours: due within one interval", func(t *testing.T) {
		p := fresh()
		p.started = at(5 * minute)
		p.adjustToClock(at(-300 * minute))
		if !p.due.Equal(at(-290*minute)) || p.started.After(at(-300*minute)) {
			t.Errorf("due %v, started %v", p.due, p.started)
		}
	})
	t.Run("TM-07 a late timer skips due times in the past", func(t *testing.T) {
		p := fresh()
		p.fire(at(57 * minute))
		if !p.due.Equal(at(60 * minute)) {
			t.Errorf("due %v", p.due)
		}
	})
}

// A period is always due within one interval, and never in the past after it fired.
func TestPeriodProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := period{interval: rapid.Custom(drawInterval).Draw(t, "interval")}
		now := epoch
		p.setDue(now.Add(p.interval))
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(30*time.Hour)).Draw(t, "passes")))
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				if now.Before(p.due) {
					now = p.due
				}
				if p.fire(now) {
					p.begin(now)
				}
				if !p.due.After(now) || p.due.Sub(now) > p.interval {
					t.Fatalf("fired at %v, due %v every %v", now, p.due, p.interval)
				}
			case 1:
				p.end()
			case 2:
				p.dueAfterAnswer(now)
			case 3:
				p.changeInterval(now, rapid.Custom(drawInterval).Draw(t, "told"), rapid.Bool().Draw(t, "push"))
			case 4:
				now = now.Add(-time.Duration(rapid.Int64Range(0, int64(90*time.Hour)).Draw(t, "back")))
				p.adjustToClock(now)
				if p.due.Before(now) || p.due.Sub(now) > p.interval {
					t.Fatalf("stepped to %v, due %v every %v", now, p.due, p.interval)
				}
			case 5:
				before := p.due
				p.changeInterval(now, rapid.Custom(drawInterval).Draw(t, "told"), false)
				if p.due.After(before) {
					t.Fatalf("due %v, later than %v before", p.due, before)
				}
			}
		}
	})
}

func drawInterval(t *rapid.T) time.Duration {
	return time.Duration(rapid.Int64Range(int64(plugin.MinInterval), int64(plugin.MaxInterval)).Draw(t, "d"))
}

func TestClampInterval(t *testing.T) { // TM-04
	for received, want := range map[time.Duration]time.Duration{
		0: 0, -time.Hour: 0, time.Nanosecond: plugin.MinInterval, 9 * time.Second: plugin.MinInterval,
		10 * time.Second: 10 * time.Second, time.Hour: time.Hour,
		plugin.MaxInterval + 1: plugin.MaxInterval, 1<<63 - 1: plugin.MaxInterval,
	} {
		got, ok := clampInterval(received)
		if got != want || ok != (received > 0) {
			t.Errorf("TM-04: clampInterval(%v) = %v, %v, want %v", received, got, ok, want)
		}
	}
}

func TestDecidePull(t *testing.T) {
	for _, test := range []struct {
		name               string
		now, last, scanDue time.Duration
		never              bool
		pull               bool
		again              time.Duration
	}{
		{name: "PL-01 right after a scan", now: 59 * time.Second, scanDue: 15 * minute, again: minute},
		{name: "PL-01 the window is over", now: minute, scanDue: 15 * minute, pull: true},
		{name: "PL-02 a scan is near", now: 10 * minute, scanDue: 11*minute - 1},
		{name: "PL-02 a scan is a window away", now: 10 * minute, scanDue: 11 * minute, pull: true},
		{name: "PL-02 a scan is overdue", now: 10 * minute, scanDue: 9 * minute},
		{name: "PL-03 never scanned", now: 10 * minute, scanDue: 15 * minute, never: true},
		{name: "TM-07 the last scan lies in the future", now: 10 * minute, last: 5 * time.Hour, scanDue: 15 * minute, pull: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			last := at(test.last)
			if test.never {
				last = time.Time{}
			}
			d := decidePull(at(test.now), last, at(test.scanDue), minute)
			if d.Pull != test.pull || (test.again == 0) != d.Again.IsZero() || (test.again != 0 && !d.Again.Equal(at(test.again))) {
				t.Errorf("decided %+v", d)
			}
			if !d.Pull && d.Reason == "" {
				t.Error("a pull that is not made has no reason")
			}
		})
	}
}

func TestScheduleOverRestart(t *testing.T) {
	was := plugin.Intervals{Scan: 15 * minute, Pull: 5 * minute, Update: 30 * minute, Inventory: 24 * time.Hour}
	first := NewSchedule(was, plugin.Settings{})
	first.Begin(ScanPeriod, epoch)
	first.SetInterval(ScanPeriod, time.Hour, true, true, epoch)
	first.SetInterval(UpdatePeriod, 2*time.Hour, true, true, epoch)
	var saved plugin.Settings
	first.SaveSettings(&saved)
	now := was
	now.Update = 45 * minute // a configuration that changed since wins
	second := NewSchedule(now, saved)
	want := [PeriodCount]time.Duration{time.Hour, 5 * minute, 45 * minute, 24 * time.Hour}
	for p, timer := range second.Timers() {
		if timer.Interval != want[p] {
			t.Errorf("%s: every %v, want %v", timer.Name, timer.Interval, want[p])
		}
	}
	if !second.LastCheck().Equal(epoch) {
		t.Errorf("SC-01: last check %v", second.LastCheck())
	}
}

func TestSetInterval(t *testing.T) {
	for name, test := range map[string]struct {
		said     time.Duration
		own      bool
		want     Interval
		interval time.Duration
		due      time.Duration
	}{
		"TM-02 its own answer":                       {20 * minute, true, Interval{20 * minute, false, true}, 20 * minute, 26 * minute},
		"TM-02 its own answer without an interval":   {0, true, Interval{}, 10 * minute, 16 * minute},
		"TM-02 another's answer":                     {7 * minute, false, Interval{7 * minute, false, true}, 7 * minute, 12 * minute},
		"TM-02 another's answer without an interval": {0, false, Interval{}, 10 * minute, 10 * minute},
		"TM-04 too short":                            {time.Second, true, Interval{10 * time.Second, true, true}, 10 * time.Second, 6*minute + 10*time.Second},
		"TM-04 too long":                             {1 << 62, true, Interval{7 * 24 * time.Hour, true, true}, 7 * 24 * time.Hour, 7*24*time.Hour + 6*minute},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSchedule(plugin.Intervals{Scan: time.Hour, Pull: 10 * minute, Update: time.Hour, Inventory: time.Hour}, plugin.Settings{})
			s.SetDue(PullPeriod, at(10*minute))
			s.Begin(PullPeriod, at(5*minute))
			s.End(PullPeriod)
			if got := s.SetInterval(PullPeriod, test.said, test.own, true, at(6*minute)); got != test.want {
				t.Errorf("%+v", got)
			}
			if got := s.Timers()[PullPeriod]; got.Interval != test.interval || !got.Due.Equal(at(test.due)) {
				t.Errorf("every %v, due %v", got.Interval, got.Due.Sub(epoch))
			}
		})
	}
}

func TestScheduleStep(t *testing.T) { // TM-07
	s := NewSchedule(plugin.Intervals{Scan: 15 * minute, Pull: minute, Update: minute, Inventory: minute}, plugin.Settings{})
	s.SetDue(ScanPeriod, at(15*minute))
	s.Begin(ScanPeriod, epoch)
	if s.AdjustToClock(at(minute)) {
		t.Error("TM-07 a step forward changed the last check")
	}
	if !s.AdjustToClock(at(-5*time.Hour)) || !s.LastCheck().Equal(at(-5*time.Hour)) || s.DueAt(ScanPeriod).After(at(-5*time.Hour+15*minute)) {
		t.Errorf("TM-07 last check %v, due %v", s.LastCheck(), s.DueAt(ScanPeriod))
	}
}
