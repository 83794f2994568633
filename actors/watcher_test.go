package actors

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

func TestWatcher(t *testing.T) {
	t.Run("EV-01 EV-06 events become messages", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a")).WithEvents()
		withWorker(t, newWatcher(w.Watcher(), w.HeartbeatEvents(), nil, w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.WatchHeartbeats{Plugins: w.Plugins})
			w.ExitPlugins(plugin.Exit{CauseKnown: true, Code: 1}, "a")
			w.ReportHeartbeat(plugin.HeartbeatEvent{Lost: true})
			w.ReportHeartbeat(plugin.HeartbeatEvent{})
			got := parent.Take()
			if e := actorstest.Messages[messages.PluginExited](got); len(e) != 1 || e[0].Exit.Name != "a" {
				t.Errorf("exits %+v; want 1 entry, name \"a\"", e)
			}
			if len(actorstest.Messages[messages.HeartbeatLost](got)) != 1 || len(actorstest.Messages[messages.HeartbeatSeen](got)) != 1 {
				t.Errorf("heartbeats %+v; want 1 HeartbeatLost message, 1 HeartbeatSeen message", got)
			}
			if len(w.Watched.HeartbeatsOf) != 1 {
				t.Errorf("heartbeats are followed of %v, want 1 plugin", w.Watched.HeartbeatsOf)
			}
		})
	})
	t.Run("each source is retried by itself", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a")).WithEvents()
		source := &failingSource{HeartbeatEvents: w.HeartbeatEvents()}
		withWorker(t, newWatcher(w.Watcher(), source, nil, w), func(t *testing.T, parent *actorstest.Probe, _ func(any)) {
			actorstest.Advance(12 * time.Second)
			if want := []time.Duration{0, 1 * time.Second, 3 * time.Second, 7 * time.Second}; !slices.Equal(source.at, want) {
				t.Errorf("followed at %v, want %v", source.at, want)
			}
			failed := actorstest.Messages[messages.WatchFailed](parent.Take())
			if len(failed) != 4 || failed[3].Err != nil { // the last one: it works again
				t.Fatalf("failed %+v; want 4, the last without an error", failed)
			}
			for i, why := range []string{"no inotify instances", "panic: bug", "the source stopped"} {
				if f := failed[i]; f.What != "heartbeat events" || f.Err == nil || !strings.Contains(f.Err.Error(), why) {
					t.Errorf("failed %+v, want %q", f, why)
				}
			}
			w.ExitPlugins(plugin.Exit{}, "a") // the other source is not affected
			w.ReportHeartbeat(plugin.HeartbeatEvent{})
			got := parent.Take()
			if len(actorstest.Messages[messages.PluginExited](got)) != 1 || len(actorstest.Messages[messages.HeartbeatSeen](got)) != 1 {
				t.Errorf("got %+v; want 1 PluginExited message, 1 HeartbeatSeen message", got)
			}
		})
	})
	t.Run("EV-01 exits are reported while cgroups cannot be followed", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a")).WithEvents()
		withWorker(t, newWatcher(noCgroups{w.Watcher()}, w.HeartbeatEvents(), nil, w), func(t *testing.T, parent *actorstest.Probe, _ func(any)) {
			actorstest.Advance(2 * time.Minute)
			w.ExitPlugins(plugin.Exit{CauseKnown: true, Code: 1}, "a")
			w.ExitProcess(plugin.Exit{}, "a")
			got := parent.Take()
			failed := actorstest.Messages[messages.WatchFailed](got)
			works := func(f messages.WatchFailed) bool { return f.What != "cgroup events" || f.Err == nil }
			if len(failed) != 7 || slices.ContainsFunc(failed, works) {
				t.Errorf("failed %+v; want 7, none of them recovered", failed)
			}
			if len(actorstest.Messages[messages.PluginExited](got)) != 1 || len(actorstest.Messages[messages.ProcessExited](got)) != 1 {
				t.Errorf("got %+v; want 1 PluginExited message, 1 ProcessExited message", got)
			}
		})
	})
	t.Run("EV-07 the time of Adopt is limited, and there may be no source", func(t *testing.T) {
		w := actorstest.NewWorld().WithEvents()
		withWorker(t, newWatcher(slowAdoption{w.Watcher()}, nil, nil, w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.Adopt{Gen: 1})
			actorstest.Advance(time.Minute)
			if got := actorstest.Messages[messages.Adopted](parent.Take()); len(got) != 1 || got[0].Gen != 1 || got[0].At.Sub(actorstest.Epoch) != adoptTimeout {
				t.Errorf("adopted %+v; want 1 entry, gen 1, after %v", got, adoptTimeout)
			}
		})
		withWorker(t, newWatcher(nil, nil, nil, w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.Adopt{Gen: 2})
			if got := actorstest.Messages[messages.Adopted](parent.Take()); len(got) != 1 || got[0].Err != nil {
				t.Errorf("adopted %+v; want 1 entry, no error", got)
			}
		})
	})
}

// failingSource fails three times in different ways, then works.
type failingSource struct {
	actorstest.HeartbeatEvents
	at []time.Duration
}

func (s *failingSource) Follow(ctx context.Context, heard func(plugin.HeartbeatEvent)) error {
	s.Set(func() { s.at = append(s.at, actorstest.Elapsed()) })
	switch len(s.at) {
	case 1:
		return errors.New("no inotify instances")
	case 2:
		panic("bug")
	case 3:
		return nil
	}
	return s.HeartbeatEvents.Follow(ctx, heard)
}

// noCgroups is a Watcher that cannot follow cgroups.
type noCgroups struct{ actorstest.Watcher }

func (noCgroups) FollowLeaves(context.Context) error { return errors.New("no inotify watch left") }

type slowAdoption struct{ actorstest.Watcher }

func (slowAdoption) Adopt(ctx context.Context, _ []plugin.WatchTarget) []plugin.Observed {
	<-ctx.Done()
	return nil
}
