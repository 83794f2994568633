package actors

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// stoppedWorld returns a world with plugins that do not run.
func stoppedWorld(names ...string) *actorstest.World {
	w := actorstest.NewWorld()
	for i, name := range names {
		w.Plugins = append(w.Plugins, actorstest.Persist(uint64(i+1), name))
	}
	return w
}

func TestRestart(t *testing.T) {
	t.Run("RS-01 starts after a random part of the stagger", func(t *testing.T) {
		names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
		w := stoppedWorld(names...)
		cfg := testConfig()
		cfg.Restart.Stagger = 10 * time.Second
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			starts := w.CallTimes("--start", "")
			if len(starts) != len(names) {
				t.Fatalf("starts at %v, want %d starts", starts, len(names))
			}
			slices.Sort(starts)
			if starts[0] < minute || starts[7] >= minute+10*time.Second || starts[7]-starts[0] < 3*time.Second {
				t.Errorf("starts at %v; want all from %v to %v, spread over 3s or more", starts, minute, minute+10*time.Second)
			}
		})
	})
	t.Run("RS-03 a limited number of starts at once; a slow one returns its slot", func(t *testing.T) {
		w := stoppedWorld("a", "b", "c", "d", "e", "f")
		for _, p := range w.Plugins {
			w.VerbTime[p.Name] = 800 * time.Millisecond
		}
		w.VerbTime["a"], w.VerbTime["b"] = 30*time.Second, 30*time.Second
		cfg := testConfig()
		cfg.Restart.Parallel = 2
		cfg.FirstRun.Pull = 10 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(minute + 500*time.Millisecond)
			if n := len(w.CallTimes("--start", "")); n != 2 {
				t.Errorf("%d starts at once, want 2", n)
			}
			actorstest.Advance(5 * time.Second)
			if n := len(w.CallTimes("--start", "")); n != 6 {
				t.Errorf("%d starts while two take long, want 6", n)
			}
			if w.MaxParallel > 4 {
				t.Errorf("%d starts at once, want at most 4", w.MaxParallel)
			}
		})
	})
	t.Run("RS-04 no second Restarter for a plugin", func(t *testing.T) {
		w := stoppedWorld("a")
		w.VerbTime["a"] = 40 * time.Minute
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(39 * time.Minute) // scans at 1, 16, 31
			if n := w.CountCalls("--start", "a"); n != 1 {
				t.Errorf("%d starts, want 1", n)
			}
			if w.MaxParallel != 1 {
				t.Errorf("%d starts at once, want 1", w.MaxParallel)
			}
		})
	})
}

func TestRestartBackoff(t *testing.T) {
	t.Run("RS-05 RS-07 a plugin that keeps failing: exponential backoff, capped, shown, without end", func(t *testing.T) {
		w := stoppedWorld("a")
		w.StartWorks = func(string) bool { return false }
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(minute + 10*time.Second)
			v := view(t, s, "a")
			if v.State != plugin.StateCrashLoop || v.Next != "retry" || !v.NextAt.After(time.Now()) || v.Why != "start: exit 3" {
				t.Errorf("view %+v; want state crash loop, a retry in the future, why \"start: exit 3\"", v)
			}
			actorstest.Advance(3 * time.Hour)
			starts := w.CallTimes("--start", "a")
			want := time.Second
			for i := 1; i < len(starts); i++ {
				gap := starts[i] - starts[i-1]
				if gap < want*8/10 || gap > min(want*12/10, 5*minute) {
					t.Errorf("start %d came %v after the one before, want about %v", i+1, gap, want)
				}
				want = min(want*2, 5*minute)
			}
			if len(starts) < 40 {
				t.Errorf("%d starts in 3 h, want at least 40", len(starts))
			}
			// it recovers without a command when --start works (RS-07)
			w.Set(func() { w.StartWorks = nil })
			actorstest.Advance(5 * minute)
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("RS-05 external manager: a plugin whose --status hangs is started at most once per scan", func(t *testing.T) {
		w := stoppedWorld("hangs", "stopped")
		w.ProbeTime["hangs"] = 2 * time.Minute
		w.StartWorks = func(name string) bool { return name == "hangs" }
		w.Plugins[0].Timeout = 3 * time.Second
		cfg := testConfig()
		cfg.Restart.OncePerScan = true
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			w.Set(func() { w.Running["hangs"] = false })
			actorstest.Advance(4 * time.Hour)
			starts := w.CallTimes("--start", "hangs")
			if len(starts) < 14 || len(starts) > 16 { // a scan each 15 min
				t.Errorf("%d starts in 4 h: %v; want 14 to 16", len(starts), starts)
			}
			for i := 1; i < len(starts); i++ {
				if gap := starts[i] - starts[i-1]; gap < 15*minute {
					t.Errorf("start %d came %v after the one before, want at least %v", i+1, gap, 15*minute)
				}
			}
			if n := len(w.CallTimes("--start", "stopped")); n < 40 {
				t.Errorf("%d starts of a plugin that answers, want at least 40", n)
			}
			at := actorstest.Elapsed()
			if err := s.StartPlugin(t.Context(), "hangs"); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(10 * time.Second)
			if starts := w.CallTimes("--start", "hangs"); starts[len(starts)-1] < at {
				t.Errorf("last start at %v, want an operator's start at %v or later: it does not wait for a scan", starts[len(starts)-1], at)
			}
			w.Violations = nil // a start of a hung plugin counts as one: the world knows that it runs
		})
	})
	t.Run("RS-05 exits again before it was healthy: longer backoff; a healthy run resets it", func(t *testing.T) {
		w := stoppedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(minute + time.Second)
			for want := 1; want <= 3; want++ {
				w.Set(func() { w.Running["a"] = false }) // exits 1 s after its start, found when it would be healthy
				actorstest.Advance(minute + 10*time.Second)
				if v := view(t, s, "a"); v.Failures != want {
					t.Errorf("failures %d, want %d", v.Failures, want)
				}
			}
			actorstest.Advance(2 * minute) // it stays running
			if v := view(t, s, "a"); v.Failures != 0 || v.State != plugin.StateRunning || v.Restarts != 3 {
				t.Errorf("view %+v; want failures 0, state running, restarts 3", v)
			}
			if n := w.Saved.Restarts["a"].Failures; n != 0 {
				t.Errorf("saved failures %d, want 0", n)
			}
		})
	})
	t.Run("RS-05 the backoff continues after a restart of the supervisor", func(t *testing.T) {
		w := stoppedWorld("a")
		w.StartWorks = func(string) bool { return false }
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) { actorstest.Advance(10 * minute) })
		n := w.Saved.Restarts["a"].Failures
		if n < 7 {
			t.Fatalf("saved failures %d, want at least 7", n)
		}
		w.Calls = nil
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(minute + 30*time.Second)
			wantState(t, s, "a", plugin.StateCrashLoop)
			if starts := w.CountCalls("--start", "a"); starts != 0 {
				t.Errorf("%d starts right after the start of the supervisor, want 0", starts)
			}
		})
	})
}

func TestRestartReported(t *testing.T) {
	t.Run("RS-06 every attempt is reported, whatever its outcome", func(t *testing.T) {
		w := stoppedWorld("a")
		works := false
		w.StartWorks = func(string) bool { return works }
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(minute + 2500*time.Millisecond)
			w.Set(func() { works = true })
			actorstest.Advance(10 * time.Second)
			got := actorstest.ReportTexts(w.TakeReports())
			if len(got) < 2 || got[0] != "a=failed" || got[len(got)-1] != "a=running" {
				t.Errorf("reports %q; want a=failed first, a=running last", got)
			}
		})
	})
	t.Run("RS-06 a start that hangs is reported when it returns", func(t *testing.T) {
		w := stoppedWorld("a")
		w.VerbTime["a"] = 3 * time.Minute
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(3 * time.Minute)
			wantReports(t, w.TakeReports())
			actorstest.Advance(2 * time.Minute)
			wantReports(t, w.TakeReports(), "a=running")
		})
	})
}

func TestRestartCancelled(t *testing.T) {
	t.Run("RS-09 a plugin stopped by an operator while it waits is not started", func(t *testing.T) {
		w := stoppedWorld("a")
		cfg := testConfig()
		cfg.Restart.Stagger = 10 * time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(61 * time.Second)
			if err := s.StopPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(time.Hour)
			if n := w.CountCalls("--start", "a"); n != 0 {
				t.Errorf("%d starts, want 0", n)
			}
			wantState(t, s, "a", plugin.StateStopped)
			got := actorstest.ReportTexts(w.TakeReports())
			if len(got) == 0 || got[0] != "a=failed" { // EV-14: reported as it is
				t.Errorf("reports %q, want a=failed first", got)
			}
			if err := s.StartPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(time.Second)
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("RS-09 a plugin stopped while its start runs: the start is cancelled, then it is stopped", func(t *testing.T) {
		w := stoppedWorld("a")
		w.VerbTime["a"] = 30 * time.Second
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(70 * time.Second)
			w.Set(func() { w.VerbTime["a"] = 0 })
			if err := s.StopPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if w.CountCalls("cancelled --start", "a") != 1 || w.CountCalls("--stop", "a") != 1 {
				t.Errorf("calls %v; want 1 call of cancelled --start of a, 1 call of --stop of a", w.Calls)
			}
			wantState(t, s, "a", plugin.StateStopped)
		})
	})
	t.Run("RS-09 a plugin removed while it waits is not started", func(t *testing.T) {
		w := stoppedWorld("a", "b")
		cfg := testConfig()
		cfg.Restart.Stagger = 2 * time.Hour
		cfg.Intervals.Scan = 5 * time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			w.Set(func() { w.Plugins[0].Removed = true })
			actorstest.Advance(10 * time.Hour)
			if n := w.CountCalls("--start", "a"); n != 0 {
				t.Errorf("%d starts of a removed plugin, want 0", n)
			}
			if got := status(t, s).Plugins; len(got) != 1 || got[0].Name != "b" {
				t.Errorf("plugins %+v; want 1 entry, name \"b\"", got)
			}
			if n := w.CountCalls("--start", "b"); n != 1 {
				t.Errorf("%d starts of the other, want 1", n)
			}
		})
	})
	t.Run("RS-10 shutdown: waiting starts end at once, running ones are cancelled", func(t *testing.T) {
		for name, stagger := range map[string]time.Duration{"waiting": 10 * time.Hour, "running": 0} {
			t.Run(name, func(t *testing.T) {
				w := stoppedWorld("a")
				w.VerbTime["a"] = time.Hour
				cfg := testConfig()
				cfg.Restart.Stagger = stagger
				synctest.Test(t, func(t *testing.T) {
					s, err := Start(cfg, plugin.Memory{}, worldPorts(w))
					if err != nil {
						t.Fatal(err)
					}
					actorstest.Advance(2 * time.Minute)
					before := time.Now()
					if err := s.Drain(t.Context()); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(before); took != 0 {
						t.Errorf("drained in %v, want 0", took)
					}
					if n := w.CountCalls("cancelled --start", "a"); (n == 1) != (name == "running") {
						t.Errorf("%d starts cancelled; want one only if it runs", n)
					}
					actorstest.Advance(time.Minute)
				})
			})
		}
	})
}

func TestRestartNotNeeded(t *testing.T) {
	t.Run("a plugin found running while its restart waits is not started", func(t *testing.T) {
		w := stoppedWorld("a")
		cfg := testConfig()
		cfg.Restart.Stagger = 10 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			w.Set(func() { w.Running["a"] = true })
			actorstest.Advance(24 * time.Hour)
			if n := w.CountCalls("--start", "a"); n != 0 {
				t.Errorf("%d starts, want 0", n)
			}
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("a plugin that another program starts during the wait is checked first", func(t *testing.T) {
		w := stoppedWorld("a")
		cfg := testConfig()
		cfg.Restart.Stagger, cfg.Intervals.Scan = time.Minute, time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(minute + time.Millisecond)
			w.Set(func() { w.Running["a"] = true })
			actorstest.Advance(2 * time.Minute)
			if n := w.CountCalls("--start", "a"); n != 0 {
				t.Errorf("%d starts, want 0", n)
			}
			if v := view(t, s, "a"); v.State != plugin.StateRunning || v.Restarts != 0 {
				t.Errorf("view %+v; want state running, restarts 0", v)
			}
		})
	})
	t.Run("ST-10 duplicates are probed, never started", func(t *testing.T) {
		w := stoppedWorld("a", "a")
		w.Plugins[1].Version, w.Plugins[1].Duplicate = "2.0", true
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			if n := w.CountCalls("--start", "a"); n != 1 {
				t.Errorf("%d starts, want 1", n)
			}
			if n := len(status(t, s).Plugins); n != 2 {
				t.Errorf("%d plugins listed, want 2", n)
			}
		})
	})
}
