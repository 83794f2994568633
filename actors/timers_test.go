package actors

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// scansAt returns when scans ran, by the probes of one plugin.
func scansAt(w *actorstest.World, name string) []time.Duration { return w.CallTimes("--status", name) }

func TestTimersOfWorkUnderWay(t *testing.T) {
	t.Run("TM-01 a scan that is due while one runs is skipped and counted", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		cfg := testConfig()
		cfg.FirstRun.Pull = 1000 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(time.Second)
			w.Set(func() { w.ListTime = 40 * time.Minute }) // the database does not answer
			actorstest.Advance(40 * time.Minute)
			got := status(t, s)
			if got.Timers[0].Skipped != 2 || got.Counters.TimersSkipped != 2 {
				t.Errorf("skipped %+v; want skipped 2, timers skipped 2", got.Timers[0])
			}
			w.Set(func() { w.ListTime = 0 })
			actorstest.Advance(15 * time.Minute)
			if n := w.CountCalls("--status", "a"); n != 1 { // nothing was queued
				t.Errorf("%d probes, want 1", n)
			}
			actorstest.Advance(2 * time.Minute)
			if n := w.CountCalls("--status", "a"); n != 2 { // an interval after the answer to the report of 41 min
				t.Errorf("%d probes, want 2", n)
			}
		})
	})
	t.Run("TM-01 a hung --status delays neither the next scans nor other plugins", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.Plugins[0].Timeout = time.Hour
		w.ProbeTime["a"] = time.Hour
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(40 * time.Minute)
			if got := status(t, s); got.Timers[0].Skipped != 0 || got.Counters.Scans != 3 {
				t.Errorf("skipped %+v, %d scans; want skipped 0, scans 3", got.Timers[0], got.Counters.Scans)
			}
			if a, b := w.CountCalls("--status", "a"), w.CountCalls("--status", "b"); a != 1 || b != 3 {
				t.Errorf("%d probes of the hung plugin, %d of the other; want 1, 3", a, b)
			}
		})
	})
}

func TestTimersFollowAnswers(t *testing.T) {
	t.Run("TM-02 SC-21 SC-22 PL-16 answers set the intervals", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnReport = intervals(20*time.Minute, 2*time.Minute)
		w.LastHeartbeat["a"] = actorstest.Epoch.Add(100 * time.Hour)
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(time.Minute + time.Second) // the scan at 1 min is answered at once
			got := status(t, s)
			if want := actorstest.Epoch.Add(21 * time.Minute); !got.Timers[0].Due.Equal(want) {
				t.Errorf("scan due %v, want %v", got.Timers[0].Due, want)
			}
			// The pull never ran: its first run stays at 3 min, then every 2.
			if want := actorstest.Epoch.Add(3 * time.Minute); !got.Timers[1].Due.Equal(want) {
				t.Errorf("pull due %v, want %v", got.Timers[1].Due, want)
			}
			actorstest.Advance(5 * time.Minute)
			got = status(t, s)
			if want := actorstest.Epoch.Add(7 * time.Minute); !got.Timers[1].Due.Equal(want) {
				t.Errorf("pull due %v, want %v", got.Timers[1].Due, want)
			}
			if got.Timers[0].Interval != 20*time.Minute || got.Timers[1].Interval != 2*time.Minute {
				t.Errorf("intervals %v %v; want interval %v, interval %v", got.Timers[0].Interval, got.Timers[1].Interval, 20*time.Minute, 2*time.Minute)
			}
		})
	})
	t.Run("SC-22 a pull interval in the answer to a scan is applied at once", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.LastHeartbeat["a"] = actorstest.Epoch.Add(100 * time.Hour)
		w.OnReport = func(n int) (plugin.Answer, error) {
			if n == 1 {
				return plugin.Answer{}, nil
			}
			return plugin.Answer{PullInterval: time.Hour}, nil
		}
		cfg := testConfig()
		cfg.Intervals.Scan = 5 * time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(7 * time.Minute) // scan 1, pull 3, scan 6
			if got := status(t, s).Timers[1]; !got.Due.Equal(actorstest.Epoch.Add(63 * time.Minute)) {
				t.Errorf("pull due %v, want due %v", got.Due, actorstest.Epoch.Add(63*time.Minute))
			}
		})
	})
	t.Run("TM-02 the answer to the report of a restart sets the interval, and never moves a timer later", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.Running["a"] = false
		w.VerbTime["a"] = 2 * time.Minute
		w.OnReport = intervals(10*time.Hour, 0)
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(5 * time.Minute)
			got := status(t, s).Timers[0]
			if got.Interval != 10*time.Hour || !got.Due.Equal(actorstest.Epoch.Add(16*time.Minute)) {
				t.Errorf("scan timer %+v; want interval %v, due %v", got, 10*time.Hour, actorstest.Epoch.Add(16*time.Minute))
			}
		})
	})
	t.Run("TM-03 failures and early returns keep the interval", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnReport = failing(1000, errAway)
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(50 * time.Minute)
			want := []time.Duration{1 * minute, 16 * minute, 31 * minute, 46 * minute}
			if got := scansAt(w, "a"); !slices.Equal(got, want) {
				t.Errorf("scans at %v, want %v", got, want)
			}
		})
	})
	t.Run("TM-04 intervals out of bounds are clamped, and the timer continues", func(t *testing.T) {
		for said, want := range map[time.Duration]time.Duration{
			-1: 15 * minute, 0: 15 * minute, 1: 10 * time.Second, 1<<63 - 1: 7 * 24 * time.Hour,
		} {
			w := actorstest.NewWorld(actorstest.Persist(1, "a"))
			w.OnReport = intervals(said, said)
			inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
				actorstest.Advance(2 * time.Minute)
				got := status(t, s).Timers[0]
				if got.Interval != want || got.Due.After(time.Now().Add(want)) {
					t.Errorf("interval %v of the server: %+v; want interval %v, due not after %v", said, got, want, time.Now().Add(want))
				}
			})
		}
	})
}

func TestTimersOfProcess(t *testing.T) {
	t.Run("TM-05 nothing runs at second 0, first runs are spread", func(t *testing.T) {
		var updates []time.Duration
		for seed := range uint64(40) {
			synctest.Test(t, func(t *testing.T) {
				w := actorstest.NewWorld(actorstest.Persist(1, "a"))
				ports := worldPorts(w)
				ports.Rand = rand.New(rand.NewPCG(seed, 1))
				s, err := Start(DefaultConfig(), plugin.Memory{}, ports)
				if err != nil {
					t.Fatal(err)
				}
				due := status(t, s).Timers
				for i, bounds := range [][2]time.Duration{{0, minute}, {minute, 2 * minute}, {0, minute}, {3 * minute, 4 * minute}} {
					if d := due[i].Due.Sub(actorstest.Epoch); d < bounds[0] || d >= bounds[1] {
						t.Errorf("%s first due after %v; want at least %v, less than %v", due[i].Name, d, bounds[0], bounds[1])
					}
				}
				updates = append(updates, due[2].Due.Sub(actorstest.Epoch))
				drainAll(t, s)
			})
		}
		slices.Sort(updates)
		if len(slices.Compact(updates)) < 40 || updates[0] == 0 || updates[39]-updates[0] < 45*time.Second {
			t.Errorf("first update checks are not spread: %v; want 40 different times, not 0, spread over 45s or more", updates)
		}
	})
	t.Run("TM-07 after a suspend, at most one missed run is made", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			w.Set(func() { w.WallOffset = 5 * time.Hour }) // the wall clock continued while timers stood still
			s.ClockStepped()
			actorstest.Advance(10 * time.Minute)
			want := []time.Duration{minute, 2 * minute}
			if got := scansAt(w, "a"); !slices.Equal(got, want) {
				t.Errorf("scans at %v, want %v", got, want)
			}
		})
	})
	t.Run("TM-07 the clock set back: the next scan is within one interval", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			w.Set(func() { w.WallOffset = -5 * time.Hour })
			s.ClockStepped()
			actorstest.Advance(20 * time.Minute)
			want := []time.Duration{minute, 17 * minute}
			if got := scansAt(w, "a"); !slices.Equal(got, want) {
				t.Errorf("scans at %v, want %v", got, want)
			}
			if last := status(t, s).Reports.LastCheck; last.After(w.Now()) {
				t.Errorf("last check %v, want not after %v", last, w.Now())
			}
		})
	})
	t.Run("TM-08 nothing fires after a shutdown", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.Running["b"] = false
		cfg := testConfig()
		cfg.Restart.Stagger = 30 * time.Minute
		w.OnReport = failing(1000, errAway)
		synctest.Test(t, func(t *testing.T) {
			s, err := Start(cfg, plugin.Memory{}, worldPorts(w))
			if err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(90 * time.Second)
			drainAll(t, s)
			w.TakeReports()
			w.Set(func() { w.Calls = nil })
			actorstest.Advance(48 * time.Hour)
			if w.CountCalls("--status", "")+w.CountCalls("--start", "")+len(w.TakeReports())+len(w.UpdateCheckTimes()) != 0 {
				t.Errorf("after the shutdown: calls %v, want none", w.Calls)
			}
		})
	})
	t.Run("intervals that the control plane set are kept over a restart", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnReport = intervals(time.Hour, 0)
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) { actorstest.Advance(2 * time.Minute) })
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			if got := status(t, s).Timers[0].Interval; got != time.Hour {
				t.Errorf("scan interval %v, want %v", got, time.Hour)
			}
		})
	})
}
