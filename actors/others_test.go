package actors

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// EV-21: the time in which a lock that was held counts is that before the exit, however
// late the exit is handled.
func TestWasHeldAtExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchedWorld("a").WithOtherPrograms()
		released := time.Now()
		w.Released["a"] = released
		time.Sleep(time.Minute)
		for after, want := range map[time.Duration]bool{0: true, time.Second: true, lockHeldBefore: false, 30 * time.Second: false} {
			if got := wasHeldAtExit(w, plugin.Exit{Name: "a", At: released.Add(after)}); got != want {
				t.Errorf("exit %v after the release: %t, want %t", after, got, want)
			}
		}
		if wasHeldAtExit(nil, plugin.Exit{Name: "a", At: released}) {
			t.Error("no other programs are known, and one held the lock")
		}
	})
}

// EV-21: a plugin exits while another program works on it.
func TestExitWhileOtherProgramWorks(t *testing.T) {
	run := func(name string, do func(t *testing.T, s *System, w *actorstest.OtherPrograms)) {
		t.Run("EV-21 "+name, func(t *testing.T) {
			w := watchedWorld("a").WithOtherPrograms()
			cfg := testConfig()
			cfg.Intervals.Scan, cfg.FirstRun.Pull = 10*minute, 10*time.Hour
			inBubble(t, w.World, cfg, func(t *testing.T, s *System) {
				actorstest.Advance(3 * minute)
				if at := w.CallTimes("--start", "a"); len(at) != 1 {
					t.Fatalf("started at %v, want once", at)
				}
				w.TakeReports()
				do(t, s, w)
			})
		})
	}
	started := func(t *testing.T, w *actorstest.OtherPrograms, want ...time.Duration) {
		t.Helper()
		if at := w.CallTimes("--start", "a"); !slices.Equal(at[1:], want) {
			t.Errorf("started again at %v, want %v", at[1:], want)
		}
	}
	run("the other program starts it again", func(t *testing.T, s *System, w *actorstest.OtherPrograms) {
		w.WorkFor("a", 2*time.Second, func() { w.Running["a"] = true })
		wantState(t, s, "a", plugin.StateRunning)
		if v := view(t, s, "a"); v.Why != "found running, started by another program" {
			t.Errorf("why %q, want \"found running, started by another program\"", v.Why)
		}
		actorstest.Advance(20 * minute)
		started(t, w)
		wantReports(t, w.TakeReports()[:1], "a=running")
	})
	run("a plugin that it stopped is restarted by the next scan", func(t *testing.T, s *System, w *actorstest.OtherPrograms) {
		w.WorkFor("a", 2*time.Second, func() {})
		if v := view(t, s, "a"); v.State != plugin.StateInstalled || !strings.Contains(v.Why, "while another program worked on it") {
			t.Errorf("%+v; want state installed, why with \"while another program worked on it\"", v)
		}
		wantReports(t, w.TakeReports(), "a=failed")
		actorstest.Advance(7 * minute)
		started(t, w)
		actorstest.Advance(2 * minute) // a scan at 11 min
		started(t, w, 11*minute+5*time.Second)
		wantState(t, s, "a", plugin.StateRunning)
	})
	run("a scan soon after does not start it: the other program may still do so", func(t *testing.T, s *System, w *actorstest.OtherPrograms) {
		actorstest.Advance(8*minute - time.Second) // a scan at 11 min
		w.WorkFor("a", 500*time.Millisecond, func() {})
		actorstest.Advance(3 * time.Second)
		w.Set(func() { w.Running["a"] = true })
		actorstest.Advance(minute)
		started(t, w)
		wantState(t, s, "a", plugin.StateRunning)
	})
	run("a scan finds it stopped while the other program works on it", func(t *testing.T, s *System, w *actorstest.OtherPrograms) {
		w.Set(func() { w.Works["a"], w.Running["a"] = true, false }) // without an event
		actorstest.Advance(8*minute + 3*time.Second)                 // a scan at 11 min
		started(t, w)
		actorstest.Advance(3 * time.Second)
		started(t, w, 11*minute+5*time.Second)
	})
	run("no program works on it", func(t *testing.T, s *System, w *actorstest.OtherPrograms) {
		w.LockFollower("a")
		w.ExitPlugins(known(3), "a")
		started(t, w, 3*minute)
	})
	run("an operator starts it", func(t *testing.T, s *System, w *actorstest.OtherPrograms) {
		w.WorkFor("a", time.Second, func() {})
		if err := s.StartPlugin(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantState(t, s, "a", plugin.StateRunning)
	})
	run("an operator forces a start that waits for the other program", func(t *testing.T, s *System, w *actorstest.OtherPrograms) {
		w.Set(func() { w.VerbTime["a"] = time.Hour })
		w.WorkFor("a", time.Second, func() {})
		if err := s.StartPlugin(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		actorstest.Advance(minute)
		wantState(t, s, "a", plugin.StateStarting)
		if err := s.ForceStartPlugin(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		actorstest.Advance(minute)
		wantState(t, s, "a", plugin.StateRunning)
		if w.ForcedStarts != 1 {
			t.Errorf("forced %d times, want 1", w.ForcedStarts)
		}
	})
}

// EV-21: a plugin exited while no supervisor ran, and another program works on it.
func TestMissedExitWhileOtherProgramWorks(t *testing.T) {
	for works, starts := range map[bool]int{false: 1, true: 0} {
		w := watchedWorld("a").WithOtherPrograms()
		w.Works["a"] = works
		w.Saved.Restarts["a"] = plugin.RestartRecord{RunningSince: plugin.Moment{Wall: actorstest.Epoch}, Processes: []plugin.Process{{PID: 9, StartTicks: 1, BootID: "b"}}}
		cfg := testConfig()
		cfg.FirstRun.Scan = time.Hour
		inBubble(t, w.World, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(30 * time.Second)
			if at := w.CallTimes("--start", "a"); len(at) != starts {
				t.Errorf("EV-21 another program works on it: %t, started at %v, want %d starts", works, at, starts)
			}
		})
	}
}

// EV-22: another program changes the plugin database.
func TestRecordsChanged(t *testing.T) {
	run := func(name string, do func(t *testing.T, s *System, w *actorstest.OtherPrograms)) {
		t.Run("EV-22 "+name, func(t *testing.T) {
			w := watchedWorld("a", "b").WithOtherPrograms()
			cfg := testConfig()
			cfg.Intervals.Scan, cfg.FirstRun.Pull = 10*time.Hour, 10*time.Hour
			inBubble(t, w.World, cfg, func(t *testing.T, s *System) {
				actorstest.Advance(3 * minute)
				w.TakeReports()
				do(t, s, w)
			})
		})
	}
	known := func(t *testing.T, s *System, name string) bool {
		return slices.ContainsFunc(status(t, s).Plugins, func(v plugin.View) bool { return v.Name == name })
	}
	run("a removal is noticed within 1 s, and REMOVED is the last report", func(t *testing.T, s *System, w *actorstest.OtherPrograms) {
		w.WorkFor("a", time.Second, func() { w.DeletePlugin("a") })
		w.RecordFollower()
		actorstest.Advance(time.Second)
		if known(t, s, "a") {
			t.Error("the plugin is still in status, want it removed")
		}
		actorstest.Advance(time.Hour)
		if at := w.CallTimes("--start", "a"); len(at) != 1 {
			t.Errorf("started at %v, want once", at)
		}
		wantReports(t, w.TakeReports(), "a=removed")
	})
	run("a pending report of it becomes REMOVED", func(t *testing.T, s *System, w *actorstest.OtherPrograms) {
		w.Set(func() {
			w.OnReport = func(int) (plugin.Answer, error) { return plugin.Answer{}, &plugin.HTTPError{Code: 503} }
		})
		w.Set(func() { w.StartWorks = func(string) bool { return false } })
		w.ExitPlugins(plugin.Exit{}, "a")
		actorstest.Advance(time.Second)
		w.ChangeRecords(func() { w.DeletePlugin("a"); w.OnReport = nil })
		actorstest.Advance(time.Hour)
		reports := w.TakeReports()
		if last := reports[len(reports)-1]; len(last.Entries) != 1 || last.Entries[0].Status != plugin.StatusRemoved {
			t.Errorf("reports %q; want 1 entry, status removed", actorstest.ReportTexts(reports))
		}
		if known(t, s, "a") {
			t.Error("a plugin that was removed in its crash loop is still in status, want it removed")
		}
	})
	run("it is forgotten when an attempt finds it removed", func(t *testing.T, s *System, w *actorstest.OtherPrograms) {
		w.Set(func() { w.NotInstalled = map[string]bool{"a": true} })
		w.ExitPlugins(plugin.Exit{}, "a")
		actorstest.Advance(time.Second)
		if known(t, s, "a") {
			t.Error("the plugin is still in status, want it removed")
		}
		wantReports(t, w.TakeReports(), "a=removed")
	})
	run("an installation is noticed, and the program that makes it starts the plugin", func(t *testing.T, s *System, w *actorstest.OtherPrograms) {
		w.ChangeRecords(func() { w.Plugins = append(w.Plugins, actorstest.Persist(3, "c")); w.Works["c"] = true })
		actorstest.Advance(time.Second)
		wantState(t, s, "c", plugin.StateInstalled)
		w.Set(func() { w.Running["c"], w.Works["c"] = true, false })
		w.LockFollower("c")
		actorstest.Advance(time.Second)
		wantState(t, s, "c", plugin.StateRunning)
		actorstest.Advance(time.Hour)
		if at := w.CallTimes("--start", "c"); len(at) != 0 {
			t.Errorf("started at %v, want none", at)
		}
	})
	run("a database that could not be read is read again", func(t *testing.T, s *System, w *actorstest.OtherPrograms) {
		w.ChangeRecords(func() { w.DeletePlugin("a"); w.ListErr = &plugin.HTTPError{Code: 500} })
		actorstest.Advance(time.Second)
		w.Set(func() { w.ListErr = nil })
		actorstest.Advance(10 * time.Second)
		if known(t, s, "a") {
			t.Error("the plugin is still in status, want it removed")
		}
	})
	run("many changes make few lists", func(t *testing.T, s *System, w *actorstest.OtherPrograms) {
		before := w.ListCount
		for range 100 {
			w.RecordFollower()
			actorstest.Advance(10 * time.Millisecond)
		}
		actorstest.Advance(time.Second)
		if n := w.ListCount - before; n < 1 || n > 6 {
			t.Errorf("%d lists; want at least 1, at most 6", n)
		}
	})
}
