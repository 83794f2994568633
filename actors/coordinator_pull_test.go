package actors

import (
	"errors"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// lazy returns an answer that asks for lazy reports.
func lazy(int) (plugin.Answer, error) {
	m := plugin.ReportLazy
	return plugin.Answer{ReportMode: &m}, nil
}

// setHeartbeats writes heartbeats of plugins now.
func setHeartbeats(w *actorstest.World, names ...string) {
	w.Set(func() {
		for _, name := range names {
			w.LastHeartbeat[name] = time.Now()
		}
	})
}

// pullConfig returns a configuration with one scan at 1 min and pulls at 3, 8, 13, … min.
func pullConfig() Config {
	cfg := testConfig()
	cfg.Intervals.Scan = 1000 * time.Hour
	return cfg
}

func TestPullWindow(t *testing.T) {
	t.Run("PL-01 a pull right after a scan comes at the end of the window", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.LastHeartbeat["a"] = actorstest.Epoch.Add(time.Hour)
		cfg := pullConfig()
		cfg.FirstRun.Pull = 70 * time.Second // 10 s after the scan
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(10 * time.Minute)
			got := w.TakeReports()
			if len(got) != 3 || got[1].At != 2*time.Minute || got[2].At != 7*time.Minute {
				t.Errorf("reports %v; want 3 entries, at %v, at %v", got, 2*time.Minute, 7*time.Minute)
			}
		})
	})
	t.Run("PL-01 a scan during the window: the last check is read again", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.LastHeartbeat["a"] = actorstest.Epoch.Add(time.Hour)
		cfg := pullConfig()
		cfg.Intervals.Scan, cfg.FirstRun.Pull = 50*time.Second, 70*time.Second
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(10 * time.Minute)
			if got := status(t, s).Counters; got.Pulls != 0 || got.Scans < 10 {
				t.Errorf("counters %+v; want pulls 0, scans at least 10", got)
			}
		})
	})
	t.Run("PL-02 a pull near the next scan is skipped", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.LastHeartbeat["a"] = actorstest.Epoch.Add(100 * time.Hour)
		cfg := pullConfig()
		cfg.Intervals.Scan, cfg.FirstRun.Pull = 10*time.Minute, 10*time.Minute+30*time.Second
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(10*time.Minute + 50*time.Second)
			if got := status(t, s).Counters.Pulls; got != 0 {
				t.Errorf("%d pulls, want 0", got)
			}
			if got := status(t, s).Timers[1]; !got.Due.Equal(actorstest.Epoch.Add(15*time.Minute + 30*time.Second)) {
				t.Errorf("due %v, want due %v", got.Due, actorstest.Epoch.Add(15*time.Minute+30*time.Second))
			}
		})
	})
	t.Run("PL-03 a pull before the first scan is skipped", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.LastHeartbeat["a"] = actorstest.Epoch
		cfg := pullConfig()
		cfg.FirstRun.Scan = 20 * time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(15 * time.Minute)
			if got := status(t, s).Counters.Pulls; got != 0 {
				t.Errorf("%d pulls, want 0", got)
			}
		})
	})
}

func TestPull(t *testing.T) {
	t.Run("PL-04 no pull report after a database error or without records", func(t *testing.T) {
		w := actorstest.NewWorld()
		inBubble(t, w, pullConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(4 * time.Minute)
			w.Set(func() { w.ListErr = errors.New("locked") })
			actorstest.Advance(5 * time.Minute)
			wantReports(t, w.TakeReports())
			if got := status(t, s); got.Counters.Pulls != 2 || len(got.Problems) != 1 {
				t.Errorf("status %+v; want pulls 2, 1 problem", got)
			}
		})
	})
	t.Run("PL-05 PL-06 PL-07 PL-08 PL-12 which heartbeats are reported", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "fresh"), actorstest.Persist(2, "old"), actorstest.Persist(3, "none"), actorstest.Persist(4, "bad"), actorstest.Once(5, "o"))
		w.BadHeartbeat["bad"] = true
		w.Running["old"] = true
		cfg := pullConfig()
		cfg.Restart.OnHang = false
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			w.TakeReports()
			setHeartbeats(w, "fresh", "o")
			w.Set(func() { w.LastHeartbeat["old"] = actorstest.Epoch })
			actorstest.Advance(time.Minute)
			wantReports(t, w.TakeReports(), "fresh=running old=failed")
			actorstest.Advance(5 * time.Minute) // not lazy: always
			if got := w.TakeReports(); len(got) == 0 || got[0].String() != "fresh=failed old=failed" {
				t.Errorf("reports %q; want some entries, \"fresh=failed old=failed\"", actorstest.ReportTexts(got))
			}
		})
	})
	t.Run("EV-14 a plugin that an operator stopped is reported as failed, though its last heartbeat is recent", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.Running["a"], w.Running["b"] = true, true
		inBubble(t, w, pullConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			if err := s.StopPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(30 * time.Second)
			wantState(t, s, "a", plugin.StateStopped)
			w.TakeReports()
			setHeartbeats(w, "a", "b")
			actorstest.Advance(time.Minute)
			wantReports(t, w.TakeReports(), "a=failed b=running")
		})
	})
	t.Run("PL-11 no plugin has a heartbeat: nothing is sent", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		inBubble(t, w, pullConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			w.TakeReports()
			actorstest.Advance(time.Hour)
			wantReports(t, w.TakeReports())
		})
	})
}

func TestPullLazy(t *testing.T) {
	t.Run("PL-13 PL-14 PL-18 lazy: only changes, but the full list", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.OnReport = lazy
		cfg := pullConfig()
		cfg.Restart.OnHang = false
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			wantReports(t, w.TakeReports(), "a=running b=running")
			next := func(fresh ...string) []actorstest.SentReport {
				actorstest.Advance(time.Minute - 1) // just before the pull
				setHeartbeats(w, fresh...)
				actorstest.Advance(4 * time.Minute)
				return w.TakeReports()
			}
			wantReports(t, next("a", "b"), "a=running b=running") // PL-18: no pull was acknowledged
			wantReports(t, next("a", "b"))                        // PL-13
			wantReports(t, next("a"), "a=running b=failed")       // PL-14: no heartbeat of b
			wantReports(t, next("a"))
			w.Set(func() { w.Plugins[0].Version = "1.1" })
			wantReports(t, next("a"), "a@1.1=running b=failed") // PL-14: a version
			if got := status(t, s).Counters.ReportsSuppressed; got != 2 {
				t.Errorf("%d reports suppressed, want 2", got)
			}
		})
	})
	t.Run("PL-15 a change that could not be reported is reported again until acknowledged", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnReport = lazy
		cfg := pullConfig()
		cfg.Restart.OnHang = false
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(3*time.Minute - 1)
			setHeartbeats(w, "a")
			actorstest.Advance(time.Minute)
			w.TakeReports()
			w.Set(func() { w.OnReport = failing(1<<30, errAway) })
			actorstest.Advance(30 * time.Minute) // no heartbeat
			if w.Saved.Pending["a"].Status != plugin.StatusFailed || w.Saved.Acked["a"].Status != plugin.StatusRunning {
				t.Errorf("saved as pending %v, acknowledged %v; want status failed, status running", w.Saved.Pending, w.Saved.Acked)
			}
			w.Set(func() { w.OnReport = lazy })
			actorstest.Advance(10 * time.Minute)
			if w.Saved.Acked["a"].Status != plugin.StatusFailed || len(w.Saved.Pending) != 0 {
				t.Errorf("saved as pending %v, acknowledged %v; want status failed, no pending", w.Saved.Pending, w.Saved.Acked)
			}
		})
	})
	t.Run("PL-15 a pending change is reported by the next process", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnReport = lazy
		cfg := pullConfig()
		cfg.Restart.OnHang = false
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(3*time.Minute - 1)
			setHeartbeats(w, "a")
			actorstest.Advance(2 * time.Minute)
			w.Set(func() { w.OnReport = failing(1<<30, errAway) })
			actorstest.Advance(5 * time.Minute)
		})
		w.Reports, w.OnReport = nil, lazy
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(pendingSpread)
			wantReports(t, w.TakeReports(), "a=failed")
		})
	})
}

func TestPullOverdue(t *testing.T) {
	t.Run("PL-17 heartbeat overdue and stopped: probed at once, restarted", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		inBubble(t, w, pullConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			w.Set(func() { w.LastHeartbeat["a"], w.Running["a"] = actorstest.Epoch, false })
			actorstest.Advance(minute + time.Second)
			if starts := w.CallTimes("--start", "a"); len(starts) != 1 || starts[0] != 3*minute {
				t.Errorf("starts at %v; want 1 start, starts[0] = %v", starts, 3*minute)
			}
			wantReports(t, w.TakeReports()[1:], "a=failed", "a=running")
		})
	})
	t.Run("PL-17 runs without heartbeats: degraded, restarted after three intervals", func(t *testing.T) {
		for _, on := range []bool{true, false} {
			w := actorstest.NewWorld(actorstest.Persist(1, "a"))
			w.LastHeartbeat["a"] = actorstest.Epoch.Add(50 * time.Second)
			cfg := pullConfig()
			cfg.FirstRun.Pull, cfg.Intervals.Pull = 130*time.Second, 30*time.Second
			cfg.Restart.OnHang = on
			inBubble(t, w, cfg, func(t *testing.T, s *System) {
				actorstest.Advance(140 * time.Second)
				wantState(t, s, "a", plugin.StateDegraded)
				if n := w.CountCalls("--restart", "a"); n != 0 {
					t.Errorf("%d restarts, want 0", n)
				}
				actorstest.Advance(111 * time.Second) // 251 s: the pull at 250 s finds a heartbeat of 200 s ago
				if n := w.CountCalls("--restart", "a"); (n == 1) != on {
					t.Errorf("on_hang %v: %d restarts, want one only with on_hang", on, n)
				}
				actorstest.Advance(150 * time.Second) // three intervals from the restart are not over
				if n := w.CountCalls("--restart", "a"); n > 1 {
					t.Errorf("%d restarts, want at most 1", n)
				}
			})
		}
	})
	t.Run("PL-17 a new heartbeat: no longer degraded", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.LastHeartbeat["a"] = actorstest.Epoch
		cfg := pullConfig()
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(3*minute + time.Second - 2)
			wantState(t, s, "a", plugin.StateDegraded)
			actorstest.Advance(4 * minute)
			setHeartbeats(w, "a")
			actorstest.Advance(minute)
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
}
