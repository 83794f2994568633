package actors

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// fetchingWorld returns a world with an update of "a" from 2 min on: the fetch takes
// 5 min, the switch 1 min.
func fetchingWorld() *actorstest.World {
	w := watchedWorld("a", "b")
	w.OnUpdateCheck = offering(0, offer("a", "2.0"))
	w.FetchTime = map[string]time.Duration{"a": 5 * time.Minute}
	w.VerbTime["a"] = 0
	return w
}

func TestFetchWhilePluginRuns(t *testing.T) {
	config := func() Config {
		cfg := updateConfig()
		cfg.FirstRun.Scan = time.Minute
		return cfg
	}
	t.Run("UP-11 a plugin is supervised while its package is fetched", func(t *testing.T) {
		w := fetchingWorld()
		inBubble(t, w, config(), func(t *testing.T, s *System) {
			actorstest.Advance(3 * time.Minute)
			if v := view(t, s, "a"); v.State != plugin.StateRunning || v.Change == nil || v.Change.Phase != "fetching" {
				t.Errorf("%+v, change %+v; want state running, change, phase \"fetching\"", v, v.Change)
			}
			starts := w.CountCalls("--start", "a")
			w.ExitPlugins(known(1), "a")
			actorstest.Advance(time.Second)
			wantState(t, s, "a", plugin.StateRunning)
			if n := w.CountCalls("--start", "a"); n != starts+1 {
				t.Errorf("%d starts after its exit, want 1", n-starts)
			}
			actorstest.Advance(10 * time.Minute)
			if v := view(t, s, "a"); v.Version != "2.0" || v.State != plugin.StateRunning {
				t.Errorf("%+v; want version \"2.0\", state running", v)
			}
		})
	})
	t.Run("UP-11 changes of other plugins do not wait for the fetch, and an operator's change goes first", func(t *testing.T) {
		w := fetchingWorld()
		inBubble(t, w, config(), func(t *testing.T, s *System) {
			actorstest.Advance(3 * time.Minute)
			if err := s.ChangePlugin(t.Context(), plugin.Change{Name: "b", Version: "2.0"}); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(time.Second)
			if v := view(t, s, "b"); v.Version != "2.0" {
				t.Errorf("%+v, want version \"2.0\"", v)
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
			w.OnChange = func(c plugin.Change) plugin.ChangeResult {
				if c.Kind == plugin.ChangeUpgrade {
					t.Errorf("%s is made though it was cancelled, want no upgrade", c)
				}
				return plugin.FailedChange(errors.New("not here"))
			}
			inBubble(t, w, config(), func(t *testing.T, s *System) {
				actorstest.Advance(3 * time.Minute)
				if err := call(s, t.Context()); err != nil {
					t.Fatal(err)
				}
				actorstest.Advance(20 * time.Minute)
				if got := journalCauses(w, plugin.EntryUpgrade, "a"); len(got) == 0 || !strings.Contains(got[0], "cancelled: ") {
					t.Errorf("journal %q, want \"cancelled: \" in the first entry", got)
				}
				if v := view(t, s, "a"); v.Version != "1.0" || v.Change != nil {
					t.Errorf("%+v; want version \"1.0\", no change", v)
				}
			})
		})
	}
}

func TestInterruptedChange(t *testing.T) {
	// switchingWorld returns a world with an update of "a" whose switch begins at 2 min
	// and can be interrupted at any time.
	switchingWorld := func() *actorstest.World {
		w := fetchingWorld()
		w.FetchTime = nil
		w.ProveTime = 10 * time.Minute
		return w
	}
	t.Run("UP-12 a stop undoes the change first, without starting the old version", func(t *testing.T) {
		w := switchingWorld()
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(3 * time.Minute)
			wantState(t, s, "a", plugin.StateUpgrading)
			starts := w.CountCalls("--start", "a")
			if err := s.StopPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			var saved plugin.RestartRecord // when it was accepted
			w.Set(func() { saved = w.Saved.Restarts["a"] })
			actorstest.Advance(time.Second)
			if len(w.Interrupts) == 0 || !saved.Stopped {
				t.Errorf("saved when the stop was accepted: %+v, want stopped", saved)
			}
			wantState(t, s, "a", plugin.StateStopped)
			if w.Running["a"] || w.CountCalls("--start", "a") != starts || !slices.Equal(w.Interrupts, []bool{true}) {
				t.Errorf("runs %v, starts %d, interrupts %v; want false, 0, one that leaves it stopped", w.Running["a"], w.CountCalls("--start", "a")-starts, w.Interrupts)
			}
			if r := w.Saved.Restarts["a"]; r.Requested != plugin.RequestNone || r.StopPending {
				t.Errorf("saved %+v; want no request, no stop pending", r)
			}
		})
	})
	t.Run("UP-12 a restart is made when the old version is back", func(t *testing.T) {
		w := switchingWorld()
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(3 * time.Minute)
			if err := s.RestartPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(time.Second)
			wantState(t, s, "a", plugin.StateRunning)
			if n := w.CountCalls("--restart", "a"); n != 1 || !slices.Equal(w.Interrupts, []bool{false}) {
				t.Errorf("%d restarts, interrupts %v; want 1, one that starts the old version", n, w.Interrupts)
			}
		})
	})
	t.Run("UP-12 a removal follows the undone change", func(t *testing.T) {
		w := switchingWorld()
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(3 * time.Minute)
			w.Set(func() {
				w.OnChange = func(c plugin.Change) plugin.ChangeResult {
					p := actorstest.Persist(1, "a")
					p.Removed = true
					w.Set(func() { w.Plugins = w.Plugins[1:] })
					return plugin.ChangeResult{Plugin: p, Previous: "1.0", Status: plugin.StatusRemoved}
				}
			})
			starts := w.CountCalls("--start", "a")
			if err := s.ChangePlugin(t.Context(), plugin.Change{Kind: plugin.ChangeRemove, Name: "a"}); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(time.Minute)
			for _, v := range status(t, s).Plugins {
				if v.Name == "a" {
					t.Errorf("%+v is in status, want it removed", v)
				}
			}
			if n := w.CountCalls("--start", "a"); n != starts || !slices.Equal(w.Interrupts, []bool{true}) {
				t.Errorf("%d starts, interrupts %v; want 0, one that leaves it stopped", n-starts, w.Interrupts)
			}
		})
	})
	t.Run("UP-12 a stop that was accepted during a change is kept by the next process", func(t *testing.T) {
		w := switchingWorld()
		w.Saved.Restarts["a"] = plugin.RestartRecord{Stopped: true, StopPending: true, Requested: plugin.RequestStop, Cause: "stopped by an operator"}
		w.Running["a"] = true
		cfg := updateConfig()
		cfg.UnfinishedChanges = []plugin.Change{{Kind: plugin.ChangeResume, Origin: plugin.FromRecovery, Name: "a", Version: "2.0"}}
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(time.Minute)
			wantState(t, s, "a", plugin.StateStopped)
			if w.Running["a"] || !slices.Equal(w.Interrupts, []bool{true}) {
				t.Errorf("runs %v, interrupts %v; want false, one that leaves it stopped", w.Running["a"], w.Interrupts)
			}
		})
	})
}

// A change that is ready waits until the plugin's attempt has ended. When it is
// cancelled in that time, it is not made, and the plugin is started.
func TestCancelledBeforeItBegan(t *testing.T) {
	w := stoppedWorld("a")
	w.VerbTime["a"], w.KillTime = time.Hour, 30*time.Second
	inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
		actorstest.Advance(90 * time.Second) // its --start runs
		if err := s.ChangePlugin(t.Context(), plugin.Change{Name: "a", Version: "2.0"}); err != nil {
			t.Fatal(err)
		}
		actorstest.Advance(10 * time.Second) // the start is being cancelled
		if v := view(t, s, "a"); v.Change == nil || v.Change.Phase != "waiting" {
			t.Fatalf("%+v, change %+v; want change, phase \"waiting\"", v, v.Change)
		}
		if err := s.CancelChange(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		w.Set(func() { w.VerbTime["a"] = time.Second })
		actorstest.Advance(5 * time.Minute)
		if v := view(t, s, "a"); v.State != plugin.StateRunning || v.Version != "1.0" || v.Change != nil {
			t.Errorf("%+v, change %+v; want state running, version \"1.0\", no change", v, v.Change)
		}
		if n := w.CountCalls("upgrade 2.0", "a"); n != 0 {
			t.Errorf("the change was made %d times, want 0", n)
		}
	})
}

func TestExitDuringChange(t *testing.T) {
	t.Run("UP-13 an exit at the end of a change is handled after the change", func(t *testing.T) {
		w := watchedWorld("a")
		w.OnUpdateCheck = offering(0, offer("a", "2.0"))
		w.OnChange = func(c plugin.Change) plugin.ChangeResult {
			p := actorstest.Persist(1, "a")
			p.Version = c.Version
			w.Set(func() { w.Running["a"], w.Plugins[0] = true, p })
			w.Lock()
			outcome := w.AddProcesses(plugin.Outcome{Verb: plugin.VerbUpgrade}, "a")
			w.Unlock()
			w.Watched.ExitFollower(plugin.Exit{Name: "a", RunID: outcome.RunID, At: time.Now(), CauseKnown: true, Code: 9}) // before the result of the change
			w.Set(func() { w.Running["a"] = false })
			return plugin.ChangeResult{Outcome: outcome, Plugin: p, Previous: "1.0", Status: plugin.StatusRunning}
		}
		cfg := updateConfig()
		cfg.FirstRun.Scan = time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(119 * time.Second)
			starts := w.CountCalls("--start", "a")
			actorstest.Advance(5 * time.Second)
			if n := w.CountCalls("--start", "a"); n != starts+1 {
				t.Errorf("%d starts after its exit, want 1", n-starts)
			}
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("UP-13 a plugin that fails its health check after a change is reported failed, and restarted", func(t *testing.T) {
		w := watchedWorld("a")
		w.OnUpdateCheck = offering(0, offer("a", "2.0"))
		w.OnChange = func(c plugin.Change) plugin.ChangeResult {
			p := actorstest.Persist(1, "a")
			p.Version = c.Version
			w.Set(func() { w.Running["a"], w.Plugins[0] = false, p })
			failed := plugin.FailedChange(errors.New("2.0 exited 1s after it was started"))
			failed.Plugin, failed.Previous, failed.Status = p, "1.0", plugin.StatusFailed
			return failed
		}
		cfg := updateConfig()
		cfg.FirstRun.Scan = time.Minute
		cfg.FirstRun.Pull = 1000 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(119 * time.Second)
			w.TakeReports()
			w.Set(func() { w.StartWorks = func(string) bool { return false } })
			actorstest.Advance(10 * time.Second)
			if v := view(t, s, "a"); v.State != plugin.StateCrashLoop || v.IsHealthy() {
				t.Errorf("%+v; want state crash loop, not healthy", v)
			}
			if got := actorstest.ReportTexts(w.TakeReports()); len(got) == 0 || got[0] != "a@2.0=failed" {
				t.Errorf("reports %q, want a@2.0=failed first", got)
			}
		})
	})
	t.Run("UP-13 the status at the start of a change decides about a rollback", func(t *testing.T) {
		w := fetchingWorld()
		cfg := updateConfig()
		cfg.FirstRun.Scan = time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(3 * time.Minute)
			w.ExitPlugins(known(1), "a") // once, while the package is fetched
			actorstest.Advance(10 * time.Minute)
			if !slices.Equal(w.StatusesBefore, []plugin.Status{plugin.StatusRunning}) {
				t.Errorf("status before the change %v, want running", w.StatusesBefore)
			}
		})
	})
}
