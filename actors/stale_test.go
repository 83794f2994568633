package actors

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

// scanningWorld has a scan under way from 1 min on that ends at 11 min, with
// the list that it read at its beginning.
func scanningWorld(names ...string) *world {
	w := newWorld()
	for i, name := range names {
		w.plugins = append(w.plugins, persist(uint64(i+1), name))
		w.running[name] = true
	}
	hung := persist(99, "hung")
	hung.Timeout = time.Hour
	w.plugins = append(w.plugins, hung)
	w.running["hung"] = true
	w.probeTime["hung"] = 10 * time.Minute
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
		w.upgrade = func(o plugin.Change) plugin.ChangeResult {
			p := persist(1, "a")
			p.Removed = true
			w.set(func() { w.running["a"], w.plugins = false, w.plugins[1:] })
			return plugin.ChangeResult{Plugin: p, Previous: "1.0", Status: plugin.StatusRemoved}
		}
		inBubble(t, w, withoutPulls(), func(t *testing.T, s *System) {
			pass(90 * time.Second)
			if err := s.ChangePlugin(t.Context(), plugin.Change{Kind: plugin.ChangeRemove, Name: "a"}); err != nil {
				t.Fatal(err)
			}
			pass(14 * time.Minute)
			for _, v := range status(t, s).Plugins {
				if v.Name == "a" {
					t.Errorf("it is back: %+v", v)
				}
			}
			if n := w.count("--start", "a"); n != 0 {
				t.Errorf("%d starts of what was removed", n)
			}
			var last string
			for _, r := range shorts(w.takeReports()) {
				if strings.Contains(r, "a=") {
					last = r
				}
			}
			if last != "a=removed" {
				t.Errorf("last report of it %q", last)
			}
		})
	})
	t.Run("EV-26 nor does the list of a pull that was under way", func(t *testing.T) {
		w := newWorld(persist(1, "a"), persist(2, "b"))
		w.upgrade = func(o plugin.Change) plugin.ChangeResult {
			p := persist(1, "a")
			p.Removed = true
			w.set(func() { w.running["a"], w.plugins = false, w.plugins[1:] })
			return plugin.ChangeResult{Plugin: p, Previous: "1.0", Status: plugin.StatusRemoved}
		}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(2 * time.Minute)
			w.set(func() { w.listTime = 5 * time.Minute })
			pass(90 * time.Second) // the pull at 3 min has read its list
			if err := s.ChangePlugin(t.Context(), plugin.Change{Kind: plugin.ChangeRemove, Name: "a"}); err != nil {
				t.Fatal(err)
			}
			pass(10 * time.Second)
			w.set(func() { w.listTime = 0 })
			pass(8 * time.Minute)
			for _, v := range status(t, s).Plugins {
				if v.Name == "a" {
					t.Errorf("it is back: %+v", v)
				}
			}
		})
	})
}

func TestStaleAnswers(t *testing.T) {
	t.Run("EV-26 a heartbeat of another version says nothing", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, withoutPulls(), func(t *testing.T, s *System) {
			pass(3 * time.Minute)
			other := persist(1, "a")
			other.Version = "0.9"
			w.pulse(plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: other, Found: true, Last: epoch}, Lost: true})
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("EV-26 a late list does not undo an upgrade in status", func(t *testing.T) {
		w := scanningWorld("a")
		inBubble(t, w, withoutPulls(), func(t *testing.T, s *System) {
			pass(90 * time.Second)
			if err := s.ChangePlugin(t.Context(), plugin.Change{Name: "a", Version: "2.0"}); err != nil {
				t.Fatal(err)
			}
			pass(8 * time.Minute)
			w.takeReports()
			pass(3 * time.Minute) // the scan ends
			if v := view(t, s, "a"); v.Version != "2.0" || v.State != plugin.StateRunning {
				t.Errorf("%+v", v)
			}
			for _, r := range shorts(w.takeReports()) {
				if strings.Contains(r, "a=") {
					t.Errorf("reported %q", r)
				}
			}
		})
	})
	t.Run("EV-26 a late list does not forget a plugin that was installed since", func(t *testing.T) {
		w := scanningWorld("a").watch()
		w.upgrade = func(o plugin.Change) plugin.ChangeResult {
			p := persist(7, "new")
			w.set(func() { w.plugins, w.running["new"] = append(w.plugins, p), true })
			return plugin.ChangeResult{Outcome: w.left(plugin.Outcome{Verb: plugin.VerbUpgrade}, "new"), Plugin: p, Status: plugin.StatusRunning}
		}
		inBubble(t, w, withoutPulls(), func(t *testing.T, s *System) {
			pass(90 * time.Second)
			if err := s.ChangePlugin(t.Context(), plugin.Change{Kind: plugin.ChangeInstall, Name: "new", Version: "1.0"}); err != nil {
				t.Fatal(err)
			}
			pass(11 * time.Minute) // the scan ends
			wantState(t, s, "new", plugin.StateRunning)
			w.die(known(1), "new")
			if n := w.count("--start", "new"); n != 1 {
				t.Errorf("its exit was answered by %d starts", n)
			}
		})
	})
	t.Run("EV-26 a --status that was asked before an exit does not say running after it", func(t *testing.T) {
		w := watchedWorld("a", "b")
		cfg := withoutPulls()
		cfg.Restart.BackoffInitial = 10 * time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(5 * time.Minute)
			w.set(func() {
				w.probeTime["a"] = 20 * time.Second
				w.says = map[string]plugin.Status{"a": plugin.StatusRunning}
				w.starts = func(string) bool { return false }
			})
			pass(11*time.Minute + time.Second) // the second scan asks
			w.die(known(1), "a")
			w.set(func() { w.says = nil; w.probeTime["a"] = 0 })
			pass(30 * time.Second) // and is answered
			if v := view(t, s, "a"); v.State == plugin.StateRunning {
				t.Errorf("%+v", v)
			}
		})
	})
}

// What is pending of a plugin that is gone, and the end of its attempt.
func TestReportsOfRemovedPlugins(t *testing.T) {
	t.Run("EV-26 the end of an attempt is not reported of a plugin that is gone", func(t *testing.T) {
		w := deadWorld("a", "b")
		w.startTime["a"], w.lingers = 5*time.Minute, 3*time.Second
		cfg := testConfig()
		cfg.FirstRun.Inventory = 2 * time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(90 * time.Second) // its start runs
			w.takeReports()
			w.set(func() { w.plugins = w.plugins[1:] })
			pass(30 * time.Minute)
			for _, r := range shorts(w.takeReports()) {
				if strings.Contains(r, "a=") {
					t.Errorf("reported %q", r)
				}
			}
			if r, ok := w.saved.Restarts["a"]; ok {
				t.Errorf("its memory is saved again: %+v", r)
			}
			if n := w.count("cancelled --start", "a"); n != 1 {
				t.Errorf("its start was cancelled %d times", n)
			}
		})
	})
	t.Run("SC-17 what was pending of it in an outage becomes REMOVED", func(t *testing.T) {
		w := newWorld(persist(1, "a"), persist(2, "b"))
		w.answer = failing(1<<30, errAway)
		cfg := testConfig()
		cfg.FirstRun.Pull = 1000 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(5 * time.Minute)
			w.set(func() { w.plugins = w.plugins[1:] })
			pass(15 * time.Minute)
			w.takeReports()
			w.set(func() { w.answer = nil })
			pass(10 * time.Minute)
			got := shorts(w.takeReports())
			if len(got) == 0 || !strings.Contains(got[len(got)-1]+got[0], "a=removed") || slices.ContainsFunc(got, func(r string) bool { return strings.Contains(r, "a=running") }) {
				t.Errorf("reports %q", got)
			}
		})
	})
	t.Run("the memory of a plugin that is gone does not come back with a new one of its name", func(t *testing.T) {
		w := newWorld(persist(1, "b"))
		w.saved.Restarts["a"] = plugin.RestartRecord{Stopped: true, Cause: "stopped by an operator", Failures: 5}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(5 * time.Minute)
			if r, ok := w.saved.Restarts["a"]; ok {
				t.Errorf("still remembered: %+v", r)
			}
			w.set(func() { w.plugins = append(w.plugins, persist(2, "a")) })
			pass(20 * time.Minute)
			wantState(t, s, "a", plugin.StateRunning)
			if n := w.count("--start", "a"); n != 1 {
				t.Errorf("%d starts", n)
			}
		})
	})
	t.Run("a plugin that goes takes its timers and its memory along", func(t *testing.T) {
		w := deadWorld("a")
		w.answer = func(int) (plugin.Answer, error) { return plugin.Answer{RefreshInterval: 5 * time.Minute}, nil }
		cfg := testConfig()
		cfg.FirstRun.Pull, cfg.FirstRun.Inventory = 1000*time.Hour, 90*time.Second
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(80 * time.Second) // started
			w.set(func() { w.plugins = nil })
			pass(20 * time.Second) // the inventory finds it gone
			n := w.count("--status", "a")
			pass(10 * time.Minute)
			if more := w.count("--status", "a"); more != n {
				t.Errorf("asked %d times after it was gone", more-n)
			}
			if r, ok := w.saved.Restarts["a"]; ok {
				t.Errorf("still remembered: %+v", r)
			}
		})
	})
}
