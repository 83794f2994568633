package actors

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

// fetchingWorld has an update of "a" that takes 5 min to fetch, from 2 min on,
// and 1 min to switch.
func fetchingWorld() *world {
	w := watchedWorld("a", "b")
	w.updates = offering(0, offer("a", "2.0"))
	w.fetchTime = map[string]time.Duration{"a": 5 * time.Minute}
	w.startTime["a"] = 0
	return w
}

func TestFetchBesideThePlugin(t *testing.T) {
	config := func() Config {
		cfg := updateConfig()
		cfg.FirstRun.Scan = time.Minute
		return cfg
	}
	t.Run("UP-11 a plugin is cared for while its package is fetched", func(t *testing.T) {
		w := fetchingWorld()
		inBubble(t, w, config(), func(t *testing.T, s *System) {
			pass(3 * time.Minute)
			if v := view(t, s, "a"); v.State != plugin.StateRunning || v.Change == nil || v.Change.Phase != "fetching" {
				t.Errorf("%+v, change %+v", v, v.Change)
			}
			starts := w.count("--start", "a")
			w.die(known(1), "a")
			pass(time.Second)
			wantState(t, s, "a", plugin.StateRunning)
			if n := w.count("--start", "a"); n != starts+1 {
				t.Errorf("%d starts after its exit", n-starts)
			}
			pass(10 * time.Minute)
			if v := view(t, s, "a"); v.Version != "2.0" || v.State != plugin.StateRunning {
				t.Errorf("%+v", v)
			}
		})
	})
	t.Run("UP-11 other plugins' changes do not wait for it, and an operator's goes first", func(t *testing.T) {
		w := fetchingWorld()
		inBubble(t, w, config(), func(t *testing.T, s *System) {
			pass(3 * time.Minute)
			if err := s.ChangePlugin(t.Context(), plugin.Change{Name: "b", Version: "2.0"}); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
			if v := view(t, s, "b"); v.Version != "2.0" {
				t.Errorf("%+v", v)
			}
		})
	})
	for verb, call := range map[string]func(*System, context.Context) error{
		"stop":    func(s *System, ctx context.Context) error { return s.StopPlugin(ctx, "a") },
		"restart": func(s *System, ctx context.Context) error { return s.RestartPlugin(ctx, "a") },
		"start":   func(s *System, ctx context.Context) error { return s.StartPlugin(ctx, "a") },
		"cancel":  func(s *System, ctx context.Context) error { return s.CancelChange(ctx, "a") },
		"rollback": func(s *System, ctx context.Context) error {
			return s.ChangePlugin(ctx, plugin.Change{Kind: plugin.ChangeRollback, Name: "a"})
		},
		"remove": func(s *System, ctx context.Context) error {
			return s.ChangePlugin(ctx, plugin.Change{Kind: plugin.ChangeRemove, Name: "a"})
		},
	} {
		t.Run("UP-12 "+verb+" while it is fetched cancels the fetch", func(t *testing.T) {
			w := fetchingWorld()
			w.upgrade = func(c plugin.Change) plugin.ChangeResult {
				if c.Kind == plugin.ChangeUpgrade {
					t.Errorf("%s is made though it was cancelled", c)
				}
				return plugin.FailedChange(errors.New("not here"))
			}
			inBubble(t, w, config(), func(t *testing.T, s *System) {
				pass(3 * time.Minute)
				if err := call(s, t.Context()); err != nil {
					t.Fatal(err)
				}
				pass(20 * time.Minute)
				if got := w.told(plugin.EntryUpgrade, "a"); len(got) == 0 || !strings.Contains(got[0], "cancelled: ") {
					t.Errorf("journal %q", got)
				}
				if v := view(t, s, "a"); v.Version != "1.0" || v.Change != nil {
					t.Errorf("%+v", v)
				}
			})
		})
	}
}

func TestInterruptedChange(t *testing.T) {
	// switchingWorld has an update of "a" that is being switched from 2 min on
	// and can be interrupted at any time.
	switchingWorld := func() *world {
		w := fetchingWorld()
		w.fetchTime = nil
		w.switchTime = 10 * time.Minute
		return w
	}
	t.Run("UP-12 a stop undoes the change first, without starting the old version", func(t *testing.T) {
		w := switchingWorld()
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(3 * time.Minute)
			wantState(t, s, "a", plugin.StateUpgrading)
			starts := w.count("--start", "a")
			if err := s.StopPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			var saved plugin.RestartRecord // when it was accepted
			w.set(func() { saved = w.saved.Restarts["a"] })
			pass(time.Second)
			if len(w.interrupts) == 0 || !saved.Stopped {
				t.Errorf("accepted and not saved: %+v", saved)
			}
			wantState(t, s, "a", plugin.StateStopped)
			if w.running["a"] || w.count("--start", "a") != starts || !slices.Equal(w.interrupts, []bool{true}) {
				t.Errorf("runs %v, starts %d, interrupts %v", w.running["a"], w.count("--start", "a")-starts, w.interrupts)
			}
			if r := w.saved.Restarts["a"]; r.Requested != plugin.RequestNone || r.StopPending {
				t.Errorf("saved %+v", r)
			}
		})
	})
	t.Run("UP-12 a restart is done when the old version is back", func(t *testing.T) {
		w := switchingWorld()
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(3 * time.Minute)
			if err := s.RestartPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
			wantState(t, s, "a", plugin.StateRunning)
			if n := w.count("--restart", "a"); n != 1 || !slices.Equal(w.interrupts, []bool{false}) {
				t.Errorf("%d restarts, interrupts %v", n, w.interrupts)
			}
		})
	})
	t.Run("UP-12 a removal follows the undone change", func(t *testing.T) {
		w := switchingWorld()
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(3 * time.Minute)
			w.set(func() {
				w.upgrade = func(c plugin.Change) plugin.ChangeResult {
					p := persist(1, "a")
					p.Removed = true
					w.set(func() { w.plugins = w.plugins[1:] })
					return plugin.ChangeResult{Plugin: p, Previous: "1.0", Status: plugin.StatusRemoved}
				}
			})
			starts := w.count("--start", "a")
			if err := s.ChangePlugin(t.Context(), plugin.Change{Kind: plugin.ChangeRemove, Name: "a"}); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute)
			for _, v := range status(t, s).Plugins {
				if v.Name == "a" {
					t.Errorf("%+v", v)
				}
			}
			if n := w.count("--start", "a"); n != starts || !slices.Equal(w.interrupts, []bool{true}) {
				t.Errorf("%d starts, interrupts %v", n-starts, w.interrupts)
			}
		})
	})
	t.Run("UP-12 a stop that was accepted during a change holds over the end of the supervisor", func(t *testing.T) {
		w := switchingWorld()
		w.saved.Restarts["a"] = plugin.RestartRecord{Stopped: true, StopPending: true, Requested: plugin.RequestStop, Cause: "stopped by an operator"}
		w.running["a"] = true
		cfg := updateConfig()
		cfg.UnfinishedChanges = []plugin.Change{{Kind: plugin.ChangeResume, Origin: plugin.FromRecovery, Name: "a", Version: "2.0"}}
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(time.Minute)
			wantState(t, s, "a", plugin.StateStopped)
			if w.running["a"] || !slices.Equal(w.interrupts, []bool{true}) {
				t.Errorf("runs %v, interrupts %v", w.running["a"], w.interrupts)
			}
		})
	})
}

// A change that is ready waits until the plugin's attempt has ended. Cancelled
// in that time, it is not made, and the plugin is started after all.
func TestCancelledBeforeItBegan(t *testing.T) {
	w := deadWorld("a")
	w.startTime["a"], w.lingers = time.Hour, 30*time.Second
	inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
		pass(90 * time.Second) // its start runs
		if err := s.ChangePlugin(t.Context(), plugin.Change{Name: "a", Version: "2.0"}); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second) // the start is being cancelled
		if v := view(t, s, "a"); v.Change == nil || v.Change.Phase != "waiting" {
			t.Fatalf("%+v, change %+v", v, v.Change)
		}
		if err := s.CancelChange(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		w.set(func() { w.startTime["a"] = time.Second })
		pass(5 * time.Minute)
		if v := view(t, s, "a"); v.State != plugin.StateRunning || v.Version != "1.0" || v.Change != nil {
			t.Errorf("%+v, change %+v", v, v.Change)
		}
		if n := w.count("upgrade 2.0", "a"); n != 0 {
			t.Errorf("the change was made %d times", n)
		}
	})
}

func TestJudgedAfterTheChange(t *testing.T) {
	t.Run("UP-13 an exit at the end of a change is answered when that is over", func(t *testing.T) {
		w := watchedWorld("a")
		w.updates = offering(0, offer("a", "2.0"))
		w.upgrade = func(c plugin.Change) plugin.ChangeResult {
			p := persist(1, "a")
			p.Version = c.Version
			w.set(func() { w.running["a"], w.plugins[0] = true, p })
			w.mu.Lock()
			outcome := w.left(plugin.Outcome{Verb: plugin.VerbUpgrade}, "a")
			w.mu.Unlock()
			w.watched.exited(plugin.Exit{Name: "a", RunID: outcome.RunID, At: time.Now(), CauseKnown: true, Code: 9}) // before the answer is there
			w.set(func() { w.running["a"] = false })
			return plugin.ChangeResult{Outcome: outcome, Plugin: p, Previous: "1.0", Status: plugin.StatusRunning}
		}
		cfg := updateConfig()
		cfg.FirstRun.Scan = time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(119 * time.Second)
			starts := w.count("--start", "a")
			pass(5 * time.Second)
			if n := w.count("--start", "a"); n != starts+1 {
				t.Errorf("%d starts after its exit", n-starts)
			}
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("UP-13 a failed proof is failed, reported so, and restarted", func(t *testing.T) {
		w := watchedWorld("a")
		w.updates = offering(0, offer("a", "2.0"))
		w.upgrade = func(c plugin.Change) plugin.ChangeResult {
			p := persist(1, "a")
			p.Version = c.Version
			w.set(func() { w.running["a"], w.plugins[0] = false, p })
			failed := plugin.FailedChange(errors.New("2.0 exited 1s after it was started"))
			failed.Plugin, failed.Previous, failed.Status = p, "1.0", plugin.StatusFailed
			return failed
		}
		cfg := updateConfig()
		cfg.FirstRun.Scan = time.Minute
		cfg.FirstRun.Pull = 1000 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(119 * time.Second)
			w.takeReports()
			w.set(func() { w.starts = func(string) bool { return false } })
			pass(10 * time.Second)
			if v := view(t, s, "a"); v.State != plugin.StateCrashLoop || v.IsHealthy() {
				t.Errorf("%+v", v)
			}
			if got := shorts(w.takeReports()); len(got) == 0 || got[0] != "a@2.0=failed" {
				t.Errorf("reports %q", got)
			}
		})
	})
	t.Run("UP-13 the status at the grant decides about a rollback", func(t *testing.T) {
		w := fetchingWorld()
		cfg := updateConfig()
		cfg.FirstRun.Scan = time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(3 * time.Minute)
			w.die(known(1), "a") // once, while the package is fetched
			pass(10 * time.Minute)
			if !slices.Equal(w.permits, []plugin.Status{plugin.StatusRunning}) {
				t.Errorf("granted with status %v", w.permits)
			}
		})
	})
}
