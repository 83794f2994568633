package actorstest_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

func TestExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := actorstest.Persist(1, "web")
		w := actorstest.NewWorld(web).WithEvents()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var exits []plugin.Exit
		go func() { _ = w.Watcher().Follow(ctx, func(e plugin.Exit) { exits = append(exits, e) }) }()
		synctest.Wait()

		w.Set(func() { w.Running["web"] = false })
		started := w.Start(t.Context(), web)
		if started.RunID != 1 || len(started.Processes) != 1 {
			t.Errorf("start: %+v, want run 1 with one process", started)
		}
		w.ExitProcess(plugin.Exit{Code: 1}, "web")
		if !w.Running["web"] {
			t.Error("the plugin does not run after one process exited, want that it runs")
		}
		w.ExitPlugins(plugin.Exit{Code: 3}, "web")
		if w.Running["web"] || w.Watched.Processes["web"] != nil {
			t.Errorf("after the exit: running %v, processes %v; want none", w.Running["web"], w.Watched.Processes["web"])
		}
		if len(exits) != 2 || !exits[0].Partial || exits[1].Partial || exits[1].Code != 3 || exits[1].RunID != 1 {
			t.Errorf("reported exits %+v; want a partial one, then run 1 with code 3", exits)
		}
	})
}

func TestAdopt(t *testing.T) {
	a, b := actorstest.Persist(1, "a"), actorstest.Persist(2, "b")
	targets := []plugin.WatchTarget{{Plugin: a}, {Plugin: b, IncludeExternal: true}}
	w := actorstest.NewWorld(a, b).WithEvents()
	w.Watched.External["b"] = []plugin.Process{{PID: 7}}
	got := w.Watcher().Adopt(t.Context(), targets)
	if len(got) != 2 || got[0].RunID != 1 || got[1].RunID != 2 || len(got[1].Processes) != 1 {
		t.Errorf("adopted %+v; want run 1 of a, run 2 of b with the external process", got)
	}
	w.Watched.AdoptLimit = 1
	if got := w.Watcher().Adopt(t.Context(), targets); len(got) != 1 || got[0].RunID != 1 {
		t.Errorf("adopted %+v, want a only, still run 1", got)
	}
}

func TestReportHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := actorstest.Persist(1, "web")
		w := actorstest.NewWorld(web).WithEvents()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var ages []time.Duration
		go func() {
			_ = w.HeartbeatEvents().Follow(ctx, func(e plugin.HeartbeatEvent) { ages = append(ages, e.Age) })
		}()
		w.HeartbeatEvents().Watch(w.Plugins)
		actorstest.Advance(time.Minute)
		w.ReportHeartbeat(plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: web, Found: true, Last: actorstest.Epoch}})
		if !slices.Equal(ages, []time.Duration{time.Minute}) || len(w.Watched.HeartbeatsOf) != 1 {
			t.Errorf("ages %v, watched %v; want one age of 1m, one plugin", ages, w.Watched.HeartbeatsOf)
		}
	})
}
