package actors

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

func TestWatcher(t *testing.T) {
	t.Run("EV-01 EV-06 events become messages", func(t *testing.T) {
		w := newWorld(persist(1, "a")).watch()
		withWorker(t, newWatcher(exits{w}, pulses{w}, nil, w), func(t *testing.T, parent *probeActor, order func(any)) {
			order(messages.WatchHeartbeats{Plugins: w.plugins})
			w.die(plugin.Exit{CauseKnown: true, Code: 1}, "a")
			w.pulse(plugin.HeartbeatEvent{Lost: true})
			w.pulse(plugin.HeartbeatEvent{})
			got := parent.take()
			if e := of[messages.PluginExited](got); len(e) != 1 || e[0].Exit.Name != "a" {
				t.Errorf("exits %+v", e)
			}
			if len(of[messages.HeartbeatLost](got)) != 1 || len(of[messages.HeartbeatSeen](got)) != 1 {
				t.Errorf("heartbeats %+v", got)
			}
			if len(w.watched.beating) != 1 {
				t.Errorf("heartbeats are followed of %v", w.watched.beating)
			}
		})
	})
	t.Run("each source is retried by itself", func(t *testing.T) {
		w := newWorld(persist(1, "a")).watch()
		source := &failingSource{pulses: pulses{w}}
		withWorker(t, newWatcher(exits{w}, source, nil, w), func(t *testing.T, parent *probeActor, _ func(any)) {
			pass(12 * time.Second)
			if want := []time.Duration{0, 1 * time.Second, 3 * time.Second, 7 * time.Second}; !slices.Equal(source.at, want) {
				t.Errorf("followed at %v, want %v", source.at, want)
			}
			failed := of[messages.WatchFailed](parent.take())
			if len(failed) != 4 || failed[3].Err != nil { // it works again once, when it does
				t.Fatalf("failed %+v", failed)
			}
			for i, why := range []string{"no inotify instances", "panic: bug", "the source stopped"} {
				if f := failed[i]; f.What != "heartbeat events" || f.Err == nil || !strings.Contains(f.Err.Error(), why) {
					t.Errorf("failed %+v, want %q", f, why)
				}
			}
			w.die(plugin.Exit{}, "a") // the other source was not touched
			w.pulse(plugin.HeartbeatEvent{})
			got := parent.take()
			if len(of[messages.PluginExited](got)) != 1 || len(of[messages.HeartbeatSeen](got)) != 1 {
				t.Errorf("got %+v", got)
			}
		})
	})
	t.Run("EV-01 exits are reported while cgroups cannot be followed", func(t *testing.T) {
		w := newWorld(persist(1, "a")).watch()
		withWorker(t, newWatcher(blindLeaves{exits{w}}, pulses{w}, nil, w), func(t *testing.T, parent *probeActor, _ func(any)) {
			pass(2 * time.Minute)
			w.die(plugin.Exit{CauseKnown: true, Code: 1}, "a")
			w.losePart(plugin.Exit{}, "a")
			got := parent.take()
			failed := of[messages.WatchFailed](got)
			works := func(f messages.WatchFailed) bool { return f.What != "cgroup events" || f.Err == nil }
			if len(failed) != 7 || slices.ContainsFunc(failed, works) {
				t.Errorf("failed %+v", failed)
			}
			if len(of[messages.PluginExited](got)) != 1 || len(of[messages.ProcessExited](got)) != 1 {
				t.Errorf("got %+v", got)
			}
		})
	})
	t.Run("EV-07 adoption is bounded, and there may be no source", func(t *testing.T) {
		w := newWorld().watch()
		withWorker(t, newWatcher(slowAdoption{exits{w}}, nil, nil, w), func(t *testing.T, parent *probeActor, order func(any)) {
			order(messages.Adopt{Gen: 1})
			pass(time.Minute)
			if got := of[messages.Adopted](parent.take()); len(got) != 1 || got[0].Gen != 1 || got[0].At.Sub(epoch) != adoptTimeout {
				t.Errorf("adopted %+v", got)
			}
		})
		withWorker(t, newWatcher(nil, nil, nil, w), func(t *testing.T, parent *probeActor, order func(any)) {
			order(messages.Adopt{Gen: 2})
			if got := of[messages.Adopted](parent.take()); len(got) != 1 || got[0].Err != nil {
				t.Errorf("adopted %+v", got)
			}
		})
	})
}

// failingSource fails three times, each in its own way, then works.
type failingSource struct {
	pulses
	at []time.Duration
}

func (s *failingSource) Follow(ctx context.Context, heard func(plugin.HeartbeatEvent)) error {
	s.set(func() { s.at = append(s.at, since()) })
	switch len(s.at) {
	case 1:
		return errors.New("no inotify instances")
	case 2:
		panic("bug")
	case 3:
		return nil
	}
	return s.pulses.Follow(ctx, heard)
}

// blindLeaves cannot follow cgroups.
type blindLeaves struct{ exits }

func (blindLeaves) FollowLeaves(context.Context) error { return errors.New("no inotify watch left") }

type slowAdoption struct{ exits }

func (slowAdoption) Adopt(ctx context.Context, _ []plugin.WatchTarget) []plugin.Observed {
	<-ctx.Done()
	return nil
}
