package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// adoptTimeout is the longest time in which the Watcher searches for the processes
// of plugins.
const adoptTimeout = 5 * time.Second

// The sources of events; the names of their problems in status.
const (
	exitEvents      = "exit events"
	leafEvents      = "cgroup events"
	heartbeatEvents = "heartbeat events"
	lockEvents      = "name lock events"
	recordEvents    = "plugin database events"
)

// watcher turns the events of its sources (exits, heartbeats, other programs) into
// messages to the Coordinator. It decides nothing. Each source runs and is retried
// independently. Each port may be nil: then there are no such events.
type watcher struct {
	exits      Watcher
	heartbeats HeartbeatEvents
	others     OtherPrograms
	clock      Clock

	work     work // the Adopt order in progress
	order    messages.Adopt
	sender   *actor.PID
	unfollow context.CancelFunc // stops all sources
}

// newWatcher returns the Props of a Watcher.
func newWatcher(exits Watcher, pulses HeartbeatEvents, others OtherPrograms, clock Clock) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		return &watcher{exits: exits, heartbeats: pulses, others: others, clock: clock}
	}, withPanicLogging)
}

// lockHeldBefore is the time before an exit in which another program that held the
// plugin's name lock counts as its cause (EV-21).
const lockHeldBefore = 2 * time.Second

// workOn reports whether another program works on a plugin or did within that time.
// It is false without the port.
func workOn(others OtherPrograms, name string, within time.Duration) bool {
	return others != nil && others.WorkOn(name, within)
}

// wasHeldAtExit reports whether another program held a plugin's name lock when the
// plugin exited, or within lockHeldBefore before. On a busy machine an exit is handled
// some time after it happened, which does not count.
func wasHeldAtExit(others OtherPrograms, e plugin.Exit) bool {
	return workOn(others, e.Name, lockHeldBefore+time.Since(e.At))
}

// adoptEnded is the result of an Adopt order.
type adoptEnded struct {
	observed []plugin.Observed
	err      error
}

func (adoptEnded) IgnoreDeadLetterLogging() {}

func (w *watcher) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		w.followSources(c)
	case *actor.Stopping, *actor.Restarting:
		w.work.stop()
		w.unfollow()
	case messages.WatchHeartbeats:
		if w.heartbeats != nil {
			w.heartbeats.Watch(m.Plugins)
		}
	case messages.Adopt:
		if !w.work.isBusy() {
			w.startAdoption(c, m)
		}
	case adoptEnded:
		if w.work.isBusy() {
			w.work.finish()
			c.Send(w.sender, messages.Adopted{Gen: w.order.Gen, At: w.clock.Now(), Observed: m.observed, Err: m.err})
		}
	}
}

// startAdoption starts an Adopt order.
func (w *watcher) startAdoption(c actor.Context, m messages.Adopt) {
	w.order, w.sender = m, c.Sender()
	w.work.start(c, func(ctx context.Context, _ func(any)) any {
		if w.exits == nil {
			return adoptEnded{}
		}
		ctx, cancel := context.WithTimeout(ctx, adoptTimeout)
		defer cancel()
		observed := w.exits.Adopt(ctx, m.Targets)
		for i := range observed {
			s := &observed[i]
			s.LockHeld = len(s.Processes) == 0 && len(m.Targets[i].Processes) > 0 && workOn(w.others, s.Name, lockHeldBefore)
		}
		return adoptEnded{observed: observed}
	}, func(err error) any { return adoptEnded{err: err} })
}

// followSources runs all sources, each in a goroutine of its own, until the actor
// stops.
func (w *watcher) followSources(c actor.Context) {
	ctx, cancel := context.WithCancel(context.Background())
	w.unfollow = cancel
	root, parent := c.ActorSystem().Root, c.Parent()
	send := func(m any) { root.Send(parent, m) }
	if w.exits != nil {
		go followSource(ctx, send, exitEvents, func(ctx context.Context) error {
			return w.exits.Follow(ctx, func(e plugin.Exit) {
				if e.Partial {
					send(messages.ProcessExited{Exit: e})
					return
				}
				e.LockHeld = !e.Late && wasHeldAtExit(w.others, e)
				send(messages.PluginExited{Exit: e})
			})
		})
		go followSource(ctx, send, leafEvents, w.exits.FollowLeaves)
	}
	if w.others != nil {
		go followSource(ctx, send, lockEvents, func(ctx context.Context) error {
			return w.others.FollowLocks(ctx, func(name string) { send(messages.LockFreed{Name: name}) })
		})
		go followSource(ctx, send, recordEvents, func(ctx context.Context) error {
			return w.others.FollowRecords(ctx, func() { send(messages.RecordsChanged{}) })
		})
	}
	if w.heartbeats != nil {
		go followSource(ctx, send, heartbeatEvents, func(ctx context.Context) error {
			return w.heartbeats.Follow(ctx, func(p plugin.HeartbeatEvent) {
				if p.Lost {
					send(messages.HeartbeatLost{Event: p})
				} else {
					send(messages.HeartbeatSeen{Event: p})
				}
			})
		})
	}
}

// A failed source is retried after retrySource, then after twice as long each time,
// at most retrySourceMax. Scans find what happens meanwhile.
const (
	retrySource    = time.Second
	retrySourceMax = time.Minute
)

// followSource runs do until ctx ends, and again whenever it returns before. A source
// that failed has recovered when it has run for retrySource.
func followSource(ctx context.Context, send func(any), what string, do func(context.Context) error) {
	failed := false
	for wait := retrySource; ; wait = min(2*wait, retrySourceMax) {
		began, stopTimer := time.Now(), func() bool { return false }
		if failed {
			stopTimer = time.AfterFunc(retrySource, func() { send(messages.WatchFailed{What: what}) }).Stop
		}
		err := recoverPanics(func() error { return do(ctx) })
		stopTimer()
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("the source stopped")
		}
		if time.Since(began) > retrySourceMax {
			wait = retrySource
		}
		send(messages.WatchFailed{What: what, Err: fmt.Errorf("no more events, next try in %v: %w", wait, err)})
		if failed = true; !waitFor(ctx, wait) {
			return
		}
	}
}
