package actors

import (
	"maps"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// serviceWorld returns a world with a plugin "a" whose program the shim runs, and another.
func serviceWorld() *actorstest.World {
	w := watchedWorld("a", "b")
	w.Plugins[0].RunPath = plugin.Shim
	return w
}

// healthOf returns the plugins whose health is checked, with the gen of each.
func healthOf(w *actorstest.World) (of map[string]uint64) {
	w.Set(func() { of = maps.Clone(w.Watched.HealthOf) })
	return of
}

func TestHealthChecks(t *testing.T) {
	t.Run("AP-05 a plugin that becomes unhealthy is restarted", func(t *testing.T) {
		w := serviceWorld()
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2*minute + time.Second)
			before := healthOf(w)
			if len(before) != 1 || before["a"] == 0 {
				t.Fatalf("health is checked of %v, want a only", before)
			}
			w.ReportHealth(w.Plugins[0], "")
			wantState(t, s, "a", plugin.StateRunning)
			w.TakeReports()
			w.Set(func() { w.VerbTime["a"], w.Statuses["a"] = time.Second, plugin.StatusFailed })
			w.ReportHealth(w.Plugins[0], "answered 500")
			wantReports(t, w.TakeReports(), "a=failed")
			actorstest.Advance(500 * time.Millisecond)
			if v := view(t, s, "a"); v.State != plugin.StateStarting || len(healthOf(w)) != 0 {
				t.Errorf("%+v, health of %v; want starting, none", v, healthOf(w))
			}
			w.Set(func() { delete(w.Statuses, "a") })
			actorstest.Advance(minute)
			wantState(t, s, "a", plugin.StateRunning)
			if n := w.CountCalls("--restart", "a"); n != 1 {
				t.Errorf("%d restarts, want 1", n)
			}
			after := healthOf(w)
			if after["a"] <= before["a"] {
				t.Errorf("health is checked of %v, want a as a new run", after)
			}
			w.Set(func() { w.Watched.HealthOf["a"] = before["a"] })
			w.ReportHealth(w.Plugins[0], "an event of the run before")
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("AP-05 recovery is noticed", func(t *testing.T) {
		w := serviceWorld()
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2*minute + time.Second)
			w.ReportHealth(w.Plugins[0], "")
			w.ReportHealth(w.Plugins[0], "answered 500")
			actorstest.Advance(time.Second)
			wantState(t, s, "a", plugin.StateDegraded) // its --status says running
			w.TakeReports()
			w.ReportHealth(w.Plugins[0], "")
			wantState(t, s, "a", plugin.StateRunning)
			wantReports(t, w.TakeReports(), "a=running")
			if n := w.CountCalls("--restart", "a") + w.CountCalls("--start", "a"); n != 1 {
				t.Errorf("started %d times, want once", n)
			}
		})
	})
	t.Run("AP-02 --status fails once: degraded, and the next check that passes is asked for", func(t *testing.T) {
		w := serviceWorld()
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2*minute + time.Second)
			w.ReportHealth(w.Plugins[0], "")
			orders := w.Watched.HealthOrders
			w.Set(func() { w.Statuses["a"] = plugin.StatusFailed })
			actorstest.Advance(15 * minute) // the next scan
			wantState(t, s, "a", plugin.StateDegraded)
			if got := w.Watched.HealthOrders - orders; got != 1 {
				t.Errorf("%d orders to check its health, want 1", got)
			}
			w.ReportHealth(w.Plugins[0], "")
			wantState(t, s, "a", plugin.StateRunning)
			if n := w.CountCalls("--restart", "a") + w.CountCalls("--start", "a"); n != 1 {
				t.Errorf("started %d times, want once", n)
			}
		})
	})
	t.Run("AP-05 not checked while stopped and after its removal", func(t *testing.T) {
		w := serviceWorld()
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2*minute + time.Second)
			if err := s.StopPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(time.Second)
			if got := healthOf(w); len(got) != 0 {
				t.Errorf("stopped, health of %v", got)
			}
			if err := s.StartPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(time.Second)
			if got := healthOf(w); len(got) != 1 {
				t.Errorf("started again, health of %v", got)
			}
			w.Set(func() { w.Plugins = w.Plugins[1:] })
			actorstest.Advance(15 * minute)
			if got := healthOf(w); len(got) != 0 {
				t.Errorf("removed, health of %v", got)
			}
		})
	})
}

// AP-06: a program that exits after healthy time is started without its shim.
func TestDirectStart(t *testing.T) {
	w := serviceWorld()
	cfg := testConfig()
	cfg.FirstRun.Pull = 10 * time.Hour
	inBubble(t, w, cfg, func(t *testing.T, s *System) {
		actorstest.Advance(3 * minute)
		w.ExitPlugins(known(3), "a", "b")
		if at := w.CallTimes("--start", "a"); w.DirectStarts != 1 || len(at) != 2 || at[1] != 3*minute {
			t.Errorf("%d direct starts, started at %v; want 1, the second at %v", w.DirectStarts, at, 3*minute)
		}
		wantState(t, s, "a", plugin.StateRunning)
		w.ExitPlugins(known(3), "a") // not healthy yet
		actorstest.Advance(minute)
		wantState(t, s, "a", plugin.StateRunning)
		if w.DirectStarts != 1 || w.CountCalls("--start", "b") != 2 {
			t.Errorf("%d direct starts, b started %d times; want 1 and 2", w.DirectStarts, w.CountCalls("--start", "b"))
		}
	})
}
