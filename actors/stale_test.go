package actors

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// scanningWorld returns a world in which a scan runs from 1 min to 11 min, with the list
// that it read at its start.
func scanningWorld(names ...string) *actorstest.World {
	w := actorstest.NewWorld()
	for i, name := range names {
		w.Plugins = append(w.Plugins, actorstest.Persist(uint64(i+1), name))
		w.Running[name] = true
	}
	hung := actorstest.Persist(99, "hung")
	hung.Timeout = time.Hour
	w.Plugins = append(w.Plugins, hung)
	w.Running["hung"] = true
	w.ProbeTime["hung"] = 10 * time.Minute
	return w
}

// withoutPulls returns a configuration in which no pull is due.
func withoutPulls() Config {
	cfg := testConfig()
	cfg.FirstRun.Pull = 1000 * time.Hour
	return cfg
}

// EV-26: an answer that is older than what is known is dropped, per plugin.
func TestStaleListOfRemovedPlugin(t *testing.T) {
	t.Run("EV-26 a late list does not bring a removed plugin back", func(t *testing.T) {
		w := scanningWorld("a")
		w.OnChange = func(o plugin.Change) plugin.ChangeResult {
			p := actorstest.Persist(1, "a")
			p.Removed = true
			w.Set(func() { w.Running["a"], w.Plugins = false, w.Plugins[1:] })
			return plugin.ChangeResult{Plugin: p, Previous: "1.0", Status: plugin.StatusRemoved}
		}
		inBubble(t, w, withoutPulls(), func(t *testing.T, s *System) {
			actorstest.Advance(90 * time.Second)
			if err := s.ChangePlugin(t.Context(), plugin.Change{Kind: plugin.ChangeRemove, Name: "a"}); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(14 * time.Minute)
			for _, v := range status(t, s).Plugins {
				if v.Name == "a" {
					t.Errorf("the removed plugin is in status: %+v, want it removed", v)
				}
			}
			if n := w.CountCalls("--start", "a"); n != 0 {
				t.Errorf("%d starts of the removed plugin, want 0", n)
			}
			var last string
			for _, r := range actorstest.ReportTexts(w.TakeReports()) {
				if strings.Contains(r, "a=") {
					last = r
				}
			}
			if last != "a=removed" {
				t.Errorf("last report of the plugin %q, want \"a=removed\"", last)
			}
		})
	})
	t.Run("EV-26 a late list of a pull does not bring a removed plugin back", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.OnChange = func(o plugin.Change) plugin.ChangeResult {
			p := actorstest.Persist(1, "a")
			p.Removed = true
			w.Set(func() { w.Running["a"], w.Plugins = false, w.Plugins[1:] })
			return plugin.ChangeResult{Plugin: p, Previous: "1.0", Status: plugin.StatusRemoved}
		}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			w.Set(func() { w.ListTime = 5 * time.Minute })
			actorstest.Advance(90 * time.Second) // the pull at 3 min has read its list
			if err := s.ChangePlugin(t.Context(), plugin.Change{Kind: plugin.ChangeRemove, Name: "a"}); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(10 * time.Second)
			w.Set(func() { w.ListTime = 0 })
			actorstest.Advance(8 * time.Minute)
			for _, v := range status(t, s).Plugins {
				if v.Name == "a" {
					t.Errorf("the removed plugin is in status: %+v, want it removed", v)
				}
			}
		})
	})
}

func TestStaleAnswers(t *testing.T) {
	t.Run("EV-26 a heartbeat of another version does not count", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, withoutPulls(), func(t *testing.T, s *System) {
			actorstest.Advance(3 * time.Minute)
			other := actorstest.Persist(1, "a")
			other.Version = "0.9"
			w.ReportHeartbeat(plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: other, Found: true, Last: actorstest.Epoch}, Lost: true})
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("EV-26 a late list does not undo an upgrade in status", func(t *testing.T) {
		w := scanningWorld("a")
		inBubble(t, w, withoutPulls(), func(t *testing.T, s *System) {
			actorstest.Advance(90 * time.Second)
			if err := s.ChangePlugin(t.Context(), plugin.Change{Name: "a", Version: "2.0"}); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(8 * time.Minute)
			w.TakeReports()
			actorstest.Advance(3 * time.Minute) // the scan ends
			if v := view(t, s, "a"); v.Version != "2.0" || v.State != plugin.StateRunning {
				t.Errorf("%+v; want version \"2.0\", state running", v)
			}
			for _, r := range actorstest.ReportTexts(w.TakeReports()) {
				if strings.Contains(r, "a=") {
					t.Errorf("reported %q, want no text with \"a=\"", r)
				}
			}
		})
	})
	t.Run("EV-26 a late list does not forget a plugin that was installed since", func(t *testing.T) {
		w := scanningWorld("a").WithEvents()
		w.OnChange = func(o plugin.Change) plugin.ChangeResult {
			p := actorstest.Persist(7, "new")
			w.Set(func() { w.Plugins, w.Running["new"] = append(w.Plugins, p), true })
			return plugin.ChangeResult{Outcome: w.AddProcesses(plugin.Outcome{Verb: plugin.VerbUpgrade}, "new"), Plugin: p, Status: plugin.StatusRunning}
		}
		inBubble(t, w, withoutPulls(), func(t *testing.T, s *System) {
			actorstest.Advance(90 * time.Second)
			if err := s.ChangePlugin(t.Context(), plugin.Change{Kind: plugin.ChangeInstall, Name: "new", Version: "1.0"}); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(11 * time.Minute) // the scan ends
			wantState(t, s, "new", plugin.StateRunning)
			w.ExitPlugins(known(1), "new")
			if n := w.CountCalls("--start", "new"); n != 1 {
				t.Errorf("%d starts after its exit, want 1", n)
			}
		})
	})
	t.Run("EV-26 a --status that began before an exit does not count after it", func(t *testing.T) {
		w := watchedWorld("a", "b")
		cfg := withoutPulls()
		cfg.Restart.BackoffInitial = 10 * time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(5 * time.Minute)
			w.Set(func() {
				w.ProbeTime["a"] = 20 * time.Second
				w.Statuses = map[string]plugin.Status{"a": plugin.StatusRunning}
				w.StartWorks = func(string) bool { return false }
			})
			actorstest.Advance(11*time.Minute + time.Second) // the second scan runs --status
			w.ExitPlugins(known(1), "a")
			w.Set(func() { w.Statuses = nil; w.ProbeTime["a"] = 0 })
			actorstest.Advance(30 * time.Second) // and it answers
			if v := view(t, s, "a"); v.State == plugin.StateRunning {
				t.Errorf("%+v, want state not running", v)
			}
		})
	})
}

// Pending reports and the attempt of a plugin that was removed.
func TestReportsOfRemovedPlugins(t *testing.T) {
	t.Run("EV-26 the end of an attempt is not reported for a removed plugin", func(t *testing.T) {
		w := stoppedWorld("a", "b")
		w.VerbTime["a"], w.KillTime = 5*time.Minute, 3*time.Second
		cfg := testConfig()
		cfg.FirstRun.Inventory = 2 * time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(90 * time.Second) // its --start runs
			w.TakeReports()
			w.Set(func() { w.Plugins = w.Plugins[1:] })
			actorstest.Advance(30 * time.Minute)
			for _, r := range actorstest.ReportTexts(w.TakeReports()) {
				if strings.Contains(r, "a=") {
					t.Errorf("reported %q, want no text with \"a=\"", r)
				}
			}
			if r, ok := w.Saved.Restarts["a"]; ok {
				t.Errorf("saved again: %+v, want nothing about the removed plugin", r)
			}
			if n := w.CountCalls("cancelled --start", "a"); n != 1 {
				t.Errorf("its start was cancelled %d times, want 1", n)
			}
		})
	})
	t.Run("SC-17 a pending report of it becomes REMOVED in an outage", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.OnReport = failing(1<<30, errAway)
		cfg := testConfig()
		cfg.FirstRun.Pull = 1000 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(5 * time.Minute)
			w.Set(func() { w.Plugins = w.Plugins[1:] })
			actorstest.Advance(15 * time.Minute)
			w.TakeReports()
			w.Set(func() { w.OnReport = nil })
			actorstest.Advance(10 * time.Minute)
			got := actorstest.ReportTexts(w.TakeReports())
			if len(got) == 0 || !strings.Contains(got[len(got)-1]+got[0], "a=removed") || slices.ContainsFunc(got, func(r string) bool { return strings.Contains(r, "a=running") }) {
				t.Errorf("reports %q; want a=removed first or last, never a=running", got)
			}
		})
	})
	t.Run("a new plugin does not get the saved state of a removed one of its name", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "b"))
		w.Saved.Restarts["a"] = plugin.RestartRecord{Stopped: true, Cause: "stopped by an operator", Failures: 5}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(5 * time.Minute)
			if r, ok := w.Saved.Restarts["a"]; ok {
				t.Errorf("saved: %+v, want nothing about the removed plugin", r)
			}
			w.Set(func() { w.Plugins = append(w.Plugins, actorstest.Persist(2, "a")) })
			actorstest.Advance(20 * time.Minute)
			wantState(t, s, "a", plugin.StateRunning)
			if n := w.CountCalls("--start", "a"); n != 1 {
				t.Errorf("%d starts, want 1", n)
			}
		})
	})
	t.Run("the timers and the saved state of a removed plugin are deleted", func(t *testing.T) {
		w := stoppedWorld("a")
		w.OnReport = func(int) (plugin.Answer, error) { return plugin.Answer{RefreshInterval: 5 * time.Minute}, nil }
		cfg := testConfig()
		cfg.FirstRun.Pull, cfg.FirstRun.Inventory = 1000*time.Hour, 90*time.Second
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(80 * time.Second) // started
			w.Set(func() { w.Plugins = nil })
			actorstest.Advance(20 * time.Second) // the inventory finds it removed
			n := w.CountCalls("--status", "a")
			actorstest.Advance(10 * time.Minute)
			if more := w.CountCalls("--status", "a"); more != n {
				t.Errorf("--status ran %d times after the removal, want 0", more-n)
			}
			if r, ok := w.Saved.Restarts["a"]; ok {
				t.Errorf("saved: %+v, want nothing about the removed plugin", r)
			}
		})
	})
}
