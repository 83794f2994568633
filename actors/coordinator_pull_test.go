package actors

import (
	"errors"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

// lazy makes the control plane ask for lazy reports.
func lazy(int) (plugin.Answer, error) {
	m := plugin.ReportLazy
	return plugin.Answer{ReportMode: &m}, nil
}

// beating keeps the heartbeats of a world fresh.
func (w *world) beating(names ...string) {
	w.set(func() {
		for _, name := range names {
			w.beats[name] = time.Now()
		}
	})
}

// pullConfig scans at 1 min and then hardly ever, and pulls at 3, 8, 13, … min.
func pullConfig() Config {
	cfg := testConfig()
	cfg.Intervals.Scan = 1000 * time.Hour
	return cfg
}

func TestPullWindow(t *testing.T) {
	t.Run("PL-01 a pull right after a scan comes at the end of the window", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.beats["a"] = epoch.Add(time.Hour)
		cfg := pullConfig()
		cfg.FirstRun.Pull = 70 * time.Second // 10 s after the scan
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(10 * time.Minute)
			got := w.takeReports()
			if len(got) != 3 || got[1].at != 2*time.Minute || got[2].at != 7*time.Minute {
				t.Errorf("reports %v", got)
			}
		})
	})
	t.Run("PL-01 a scan during the window: the last check is read again", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.beats["a"] = epoch.Add(time.Hour)
		cfg := pullConfig()
		cfg.Intervals.Scan, cfg.FirstRun.Pull = 50*time.Second, 70*time.Second
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(10 * time.Minute)
			if got := status(t, s).Counters; got.Pulls != 0 || got.Scans < 10 {
				t.Errorf("counters %+v", got)
			}
		})
	})
	t.Run("PL-02 a pull near the next scan is left out", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.beats["a"] = epoch.Add(100 * time.Hour)
		cfg := pullConfig()
		cfg.Intervals.Scan, cfg.FirstRun.Pull = 10*time.Minute, 10*time.Minute+30*time.Second
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(10*time.Minute + 50*time.Second)
			if got := status(t, s).Counters.Pulls; got != 0 {
				t.Errorf("%d pulls", got)
			}
			if got := status(t, s).Timers[1]; !got.Due.Equal(epoch.Add(15*time.Minute + 30*time.Second)) {
				t.Errorf("due %v", got.Due)
			}
		})
	})
	t.Run("PL-03 never scanned: left out", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.beats["a"] = epoch
		cfg := pullConfig()
		cfg.FirstRun.Scan = 20 * time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(15 * time.Minute)
			if got := status(t, s).Counters.Pulls; got != 0 {
				t.Errorf("%d pulls", got)
			}
		})
	})
}

func TestPull(t *testing.T) {
	t.Run("PL-04 a database error or no records", func(t *testing.T) {
		w := newWorld()
		inBubble(t, w, pullConfig(), func(t *testing.T, s *System) {
			pass(4 * time.Minute)
			w.set(func() { w.listErr = errors.New("locked") })
			pass(5 * time.Minute)
			wantReports(t, w.takeReports())
			if got := status(t, s); got.Counters.Pulls != 2 || len(got.Problems) != 1 {
				t.Errorf("status %+v", got)
			}
		})
	})
	t.Run("PL-05 PL-06 PL-07 PL-08 PL-12 what is told of heartbeats", func(t *testing.T) {
		w := newWorld(persist(1, "fresh"), persist(2, "old"), persist(3, "none"), persist(4, "bad"), once(5, "o"))
		w.bad["bad"] = true
		w.running["old"] = true
		cfg := pullConfig()
		cfg.Restart.OnHang = false
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(2 * time.Minute)
			w.takeReports()
			w.beating("fresh", "o")
			w.set(func() { w.beats["old"] = epoch })
			pass(time.Minute)
			wantReports(t, w.takeReports(), "fresh=running old=failed")
			pass(5 * time.Minute) // not lazy: always
			if got := w.takeReports(); len(got) == 0 || got[0].short() != "fresh=failed old=failed" {
				t.Errorf("reports %q", shorts(got))
			}
		})
	})
	t.Run("EV-14 what an operator stopped is told as failed, though its last beat is young", func(t *testing.T) {
		w := newWorld(persist(1, "a"), persist(2, "b"))
		w.running["a"], w.running["b"] = true, true
		inBubble(t, w, pullConfig(), func(t *testing.T, s *System) {
			pass(2 * time.Minute)
			if err := s.StopPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			pass(30 * time.Second)
			wantState(t, s, "a", plugin.StateStopped)
			w.takeReports()
			w.beating("a", "b")
			pass(time.Minute)
			wantReports(t, w.takeReports(), "a=failed b=running")
		})
	})
	t.Run("PL-11 nobody has a heartbeat: nothing sent", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		inBubble(t, w, pullConfig(), func(t *testing.T, s *System) {
			pass(2 * time.Minute)
			w.takeReports()
			pass(time.Hour)
			wantReports(t, w.takeReports())
		})
	})
}

func TestPullLazy(t *testing.T) {
	t.Run("PL-13 PL-14 PL-18 lazy: only changes, but the full list", func(t *testing.T) {
		w := newWorld(persist(1, "a"), persist(2, "b"))
		w.answer = lazy
		cfg := pullConfig()
		cfg.Restart.OnHang = false
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(2 * time.Minute)
			wantReports(t, w.takeReports(), "a=running b=running")
			next := func(fresh ...string) []sentReport {
				pass(time.Minute - 1) // just before the pull
				w.beating(fresh...)
				pass(4 * time.Minute)
				return w.takeReports()
			}
			wantReports(t, next("a", "b"), "a=running b=running") // PL-18: no pull was acknowledged
			wantReports(t, next("a", "b"))                        // PL-13
			wantReports(t, next("a"), "a=running b=failed")       // PL-14: b is silent
			wantReports(t, next("a"))
			w.set(func() { w.plugins[0].Version = "1.1" })
			wantReports(t, next("a"), "a@1.1=running b=failed") // PL-14: a version
			if got := status(t, s).Counters.ReportsSuppressed; got != 2 {
				t.Errorf("%d suppressed", got)
			}
		})
	})
	t.Run("PL-15 a change that could not be told is told again until acknowledged", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.answer = lazy
		cfg := pullConfig()
		cfg.Restart.OnHang = false
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(3*time.Minute - 1)
			w.beating("a")
			pass(time.Minute)
			w.takeReports()
			w.set(func() { w.answer = failing(1<<30, errAway) })
			pass(30 * time.Minute) // silent now
			if w.saved.Pending["a"].Status != plugin.StatusFailed || w.saved.Acked["a"].Status != plugin.StatusRunning {
				t.Errorf("saved owed %v, acknowledged %v", w.saved.Pending, w.saved.Acked)
			}
			w.set(func() { w.answer = lazy })
			pass(10 * time.Minute)
			if w.saved.Acked["a"].Status != plugin.StatusFailed || len(w.saved.Pending) != 0 {
				t.Errorf("saved owed %v, acknowledged %v", w.saved.Pending, w.saved.Acked)
			}
		})
	})
	t.Run("PL-15 also over the supervisor's own end", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.answer = lazy
		cfg := pullConfig()
		cfg.Restart.OnHang = false
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(3*time.Minute - 1)
			w.beating("a")
			pass(2 * time.Minute)
			w.set(func() { w.answer = failing(1<<30, errAway) })
			pass(5 * time.Minute)
		})
		w.reports, w.answer = nil, lazy
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(pendingSpread)
			wantReports(t, w.takeReports(), "a=failed")
		})
	})
}

func TestPullOverdue(t *testing.T) {
	t.Run("PL-17 overdue and dead: probed at once, restarted", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		inBubble(t, w, pullConfig(), func(t *testing.T, s *System) {
			pass(2 * time.Minute)
			w.set(func() { w.beats["a"], w.running["a"] = epoch, false })
			pass(minute + time.Second)
			if starts := w.when("--start", "a"); len(starts) != 1 || starts[0] != 3*minute {
				t.Errorf("starts at %v", starts)
			}
			wantReports(t, w.takeReports()[1:], "a=failed", "a=running")
		})
	})
	t.Run("PL-17 running but silent: degraded, after three intervals restarted", func(t *testing.T) {
		for _, on := range []bool{true, false} {
			w := newWorld(persist(1, "a"))
			w.beats["a"] = epoch.Add(50 * time.Second)
			cfg := pullConfig()
			cfg.FirstRun.Pull, cfg.Intervals.Pull = 130*time.Second, 30*time.Second
			cfg.Restart.OnHang = on
			inBubble(t, w, cfg, func(t *testing.T, s *System) {
				pass(140 * time.Second)
				wantState(t, s, "a", plugin.StateDegraded)
				if n := w.count("--restart", "a"); n != 0 {
					t.Errorf("%d restarts", n)
				}
				pass(111 * time.Second) // 251 s: the pull at 250 s finds 200 s of silence
				if n := w.count("--restart", "a"); (n == 1) != on {
					t.Errorf("on_hang %v: %d restarts", on, n)
				}
				pass(150 * time.Second) // three intervals from the restart are not over
				if n := w.count("--restart", "a"); n > 1 {
					t.Errorf("%d restarts", n)
				}
			})
		}
	})
	t.Run("PL-17 beats again: no longer degraded", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.beats["a"] = epoch
		cfg := pullConfig()
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(3*minute + time.Second - 2)
			wantState(t, s, "a", plugin.StateDegraded)
			pass(4 * minute)
			w.beating("a")
			pass(minute)
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
}
