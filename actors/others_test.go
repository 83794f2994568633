package actors

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/plugin"
)

// otherPrograms are what other programs do in the world.
type otherPrograms struct {
	*world
	works   map[string]bool // plugins that they work on
	freed   func(name string)
	changed func()
}

func (w *world) beside() *otherPrograms {
	w.others = &otherPrograms{world: w, works: map[string]bool{}}
	return w.others
}

func (o *otherPrograms) WorkOn(name string, _ time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.works[name]
}

func (o *otherPrograms) FollowLocks(ctx context.Context, freed func(string)) error {
	o.set(func() { o.freed = freed })
	<-ctx.Done()
	return nil
}

func (o *otherPrograms) FollowRecords(ctx context.Context, changed func()) error {
	o.set(func() { o.changed = changed })
	<-ctx.Done()
	return nil
}

// work has another program work on a plugin for a while; do is what it does last.
func (o *otherPrograms) work(name string, for_ time.Duration, do func()) {
	o.set(func() { o.works[name] = true })
	o.die(known(0), name)
	pass(for_)
	o.set(func() {
		do()
		o.works[name] = false
	})
	o.freed(name)
	pass(time.Second)
}

// record changes the plugin database.
func (o *otherPrograms) record(change func()) {
	o.set(change)
	o.changed()
}

func (o *otherPrograms) gone(name string) {
	o.plugins = slices.DeleteFunc(o.plugins, func(p plugin.Plugin) bool { return p.Name == name })
	o.running[name] = false
}

// EV-21: an exit while another program works on the plugin.
func TestExitBesideOthers(t *testing.T) {
	run := func(name string, do func(t *testing.T, s *System, w *otherPrograms)) {
		t.Run("EV-21 "+name, func(t *testing.T) {
			w := watchedWorld("a").beside()
			cfg := testConfig()
			cfg.Intervals.Scan, cfg.FirstRun.Pull = 10*minute, 10*time.Hour
			inBubble(t, w.world, cfg, func(t *testing.T, s *System) {
				pass(3 * minute)
				if at := w.when("--start", "a"); len(at) != 1 {
					t.Fatalf("started at %v", at)
				}
				w.takeReports()
				do(t, s, w)
			})
		})
	}
	started := func(t *testing.T, w *otherPrograms, want ...time.Duration) {
		t.Helper()
		if at := w.when("--start", "a"); !slices.Equal(at[1:], want) {
			t.Errorf("started again at %v, want %v", at[1:], want)
		}
	}
	run("that program starts it again", func(t *testing.T, s *System, w *otherPrograms) {
		w.work("a", 2*time.Second, func() { w.running["a"] = true })
		wantState(t, s, "a", plugin.StateRunning)
		if v := view(t, s, "a"); v.Why != "found running, started by another program" {
			t.Errorf("why %q", v.Why)
		}
		pass(20 * minute)
		started(t, w)
		wantReports(t, w.takeReports()[:1], "a=running")
	})
	run("what it stopped is left to the next scan", func(t *testing.T, s *System, w *otherPrograms) {
		w.work("a", 2*time.Second, func() {})
		if v := view(t, s, "a"); v.State != plugin.StateInstalled || !strings.Contains(v.Why, "while another program worked on it") {
			t.Errorf("%+v", v)
		}
		wantReports(t, w.takeReports(), "a=failed")
		pass(7 * minute)
		started(t, w)
		pass(2 * minute) // a scan at 11 min
		started(t, w, 11*minute+5*time.Second)
		wantState(t, s, "a", plugin.StateRunning)
	})
	run("a scan soon after leaves it the time to start it", func(t *testing.T, s *System, w *otherPrograms) {
		pass(8*minute - time.Second) // a scan at 11 min
		w.work("a", 500*time.Millisecond, func() {})
		pass(3 * time.Second)
		w.set(func() { w.running["a"] = true })
		pass(minute)
		started(t, w)
		wantState(t, s, "a", plugin.StateRunning)
	})
	run("a scan finds it down while that program works on it", func(t *testing.T, s *System, w *otherPrograms) {
		w.set(func() { w.works["a"], w.running["a"] = true, false }) // no event tells
		pass(8*minute + 3*time.Second)                               // a scan at 11 min
		started(t, w)
		pass(3 * time.Second)
		started(t, w, 11*minute+5*time.Second)
	})
	run("no program works on it", func(t *testing.T, s *System, w *otherPrograms) {
		w.freed("a")
		w.die(known(3), "a")
		started(t, w, 3*minute)
	})
	run("an operator starts what was left", func(t *testing.T, s *System, w *otherPrograms) {
		w.work("a", time.Second, func() {})
		if err := s.StartPlugin(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantState(t, s, "a", plugin.StateRunning)
	})
	run("and forces what waits for that program", func(t *testing.T, s *System, w *otherPrograms) {
		w.set(func() { w.startTime["a"] = time.Hour })
		w.work("a", time.Second, func() {})
		if err := s.StartPlugin(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		pass(minute)
		wantState(t, s, "a", plugin.StateStarting)
		if err := s.ForceStartPlugin(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		pass(minute)
		wantState(t, s, "a", plugin.StateRunning)
		if w.forced != 1 {
			t.Errorf("forced %d times", w.forced)
		}
	})
}

// EV-21: what exited while the supervisor was away and another program works on it.
func TestExitMissedBesideOthers(t *testing.T) {
	for works, starts := range map[bool]int{false: 1, true: 0} {
		w := watchedWorld("a").beside()
		w.works["a"] = works
		w.saved.Restarts["a"] = plugin.RestartRecord{RunningSince: plugin.Moment{Wall: epoch}, Processes: []plugin.Process{{PID: 9, StartTicks: 1, BootID: "b"}}}
		cfg := testConfig()
		cfg.FirstRun.Scan = time.Hour
		inBubble(t, w.world, cfg, func(t *testing.T, s *System) {
			pass(30 * time.Second)
			if at := w.when("--start", "a"); len(at) != starts {
				t.Errorf("EV-21 another program works on it: %t, started at %v", works, at)
			}
		})
	}
}

// EV-22: what other programs change of the plugin database.
func TestRecordsChanged(t *testing.T) {
	run := func(name string, do func(t *testing.T, s *System, w *otherPrograms)) {
		t.Run("EV-22 "+name, func(t *testing.T) {
			w := watchedWorld("a", "b").beside()
			cfg := testConfig()
			cfg.Intervals.Scan, cfg.FirstRun.Pull = 10*time.Hour, 10*time.Hour
			inBubble(t, w.world, cfg, func(t *testing.T, s *System) {
				pass(3 * minute)
				w.takeReports()
				do(t, s, w)
			})
		})
	}
	known := func(t *testing.T, s *System, name string) bool {
		return slices.ContainsFunc(status(t, s).Plugins, func(v plugin.View) bool { return v.Name == name })
	}
	run("a removal is seen within 1 s, and REMOVED is the last report", func(t *testing.T, s *System, w *otherPrograms) {
		w.work("a", time.Second, func() { w.gone("a") })
		w.changed()
		pass(time.Second)
		if known(t, s, "a") {
			t.Error("it is still in status")
		}
		pass(time.Hour)
		if at := w.when("--start", "a"); len(at) != 1 {
			t.Errorf("started at %v", at)
		}
		wantReports(t, w.takeReports(), "a=removed")
	})
	run("what is pending of it becomes REMOVED", func(t *testing.T, s *System, w *otherPrograms) {
		w.set(func() {
			w.answer = func(int) (plugin.Answer, error) { return plugin.Answer{}, &plugin.HTTPError{Code: 503} }
		})
		w.set(func() { w.starts = func(string) bool { return false } })
		w.die(plugin.Exit{}, "a")
		pass(time.Second)
		w.record(func() { w.gone("a"); w.answer = nil })
		pass(time.Hour)
		reports := w.takeReports()
		if last := reports[len(reports)-1]; len(last.entries) != 1 || last.entries[0].Status != plugin.StatusRemoved {
			t.Errorf("reports %q", shorts(reports))
		}
		if known(t, s, "a") {
			t.Error("a plugin that was removed in its crash loop is still in status")
		}
	})
	run("an attempt that finds it removed is its end", func(t *testing.T, s *System, w *otherPrograms) {
		w.set(func() { w.removed = map[string]bool{"a": true} })
		w.die(plugin.Exit{}, "a")
		pass(time.Second)
		if known(t, s, "a") {
			t.Error("it is still in status")
		}
		wantReports(t, w.takeReports(), "a=removed")
	})
	run("an installation is seen, and left to the program that makes it", func(t *testing.T, s *System, w *otherPrograms) {
		w.record(func() { w.plugins = append(w.plugins, persist(3, "c")); w.works["c"] = true })
		pass(time.Second)
		wantState(t, s, "c", plugin.StateInstalled)
		w.set(func() { w.running["c"], w.works["c"] = true, false })
		w.freed("c")
		pass(time.Second)
		wantState(t, s, "c", plugin.StateRunning)
		pass(time.Hour)
		if at := w.when("--start", "c"); len(at) != 0 {
			t.Errorf("started at %v", at)
		}
	})
	run("a database that could not be read is read again", func(t *testing.T, s *System, w *otherPrograms) {
		w.record(func() { w.gone("a"); w.listErr = &plugin.HTTPError{Code: 500} })
		pass(time.Second)
		w.set(func() { w.listErr = nil })
		pass(10 * time.Second)
		if known(t, s, "a") {
			t.Error("it is still in status")
		}
	})
	run("many changes are few lists", func(t *testing.T, s *System, w *otherPrograms) {
		before := w.lists
		for range 100 {
			w.changed()
			pass(10 * time.Millisecond)
		}
		pass(time.Second)
		if n := w.lists - before; n < 1 || n > 6 {
			t.Errorf("%d lists", n)
		}
	})
}
