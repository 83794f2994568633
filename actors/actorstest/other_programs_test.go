package actorstest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

func TestOtherPrograms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "web")).WithEvents()
		others := w.WithOtherPrograms()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var freed []string
		changes := 0
		go func() { _ = w.Watcher().Follow(ctx, func(plugin.Exit) {}) }()
		go func() { _ = others.FollowLocks(ctx, func(name string) { freed = append(freed, name) }) }()
		go func() { _ = others.FollowRecords(ctx, func() { changes++ }) }()
		synctest.Wait()

		time.AfterFunc(time.Minute, func() {
			if !others.WorkOn("web", 0) {
				t.Error("no other program works on the plugin after 1m, want that one does for 2m")
			}
		})
		others.WorkFor("web", 2*time.Minute, func() { w.Running["web"] = true })
		if len(freed) != 1 || others.WorkOn("web", 0) || !w.Running["web"] {
			t.Errorf("freed %v, works %v, running %v; want web, false, true", freed, others.WorkOn("web", 0), w.Running["web"])
		}
		others.ChangeRecords(func() { others.DeletePlugin("web") })
		if changes != 1 || len(w.Plugins) != 0 {
			t.Errorf("%d changes of the database, plugins %v; want 1, none", changes, w.Plugins)
		}
	})
}
