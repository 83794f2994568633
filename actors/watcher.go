package actors

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// adoptWithin bounds how long the Watcher looks for what an earlier life of
// the supervisor left running.
const adoptWithin = 5 * time.Second

// watcher brings what happens to plugins between the periods to the
// Coordinator: it translates events into messages, and decides nothing. Either
// port may be nil; then nothing is told by event.
type watcher struct {
	exits  Watcher
	pulses Pulses
	clock  Clock

	work   work // the Adopt order under way
	order  messages.Adopt
	sender *actor.PID
	follow context.CancelFunc
}

// newWatcher makes the Props of a Watcher.
func newWatcher(exits Watcher, pulses Pulses, clock Clock) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return &watcher{exits: exits, pulses: pulses, clock: clock} }, guarded)
}

// adoptEnded is what the Watcher's work sends to it.
type adoptEnded struct {
	sightings []plugin.Sighting
	err       error
}

func (adoptEnded) IgnoreDeadLetterLogging() {}

func (w *watcher) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		w.begin(c)
	case *actor.Stopping, *actor.Restarting:
		w.work.stop()
		w.follow()
	case messages.WatchBeats:
		if w.pulses != nil {
			w.pulses.Watch(m.Plugins)
		}
	case messages.Adopt:
		if !w.work.busy() {
			w.adopt(c, m)
		}
	case adoptEnded:
		if w.work.busy() {
			w.work.done()
			c.Send(w.sender, messages.Adopted{Gen: w.order.Gen, At: w.clock.Now(), Sightings: m.sightings, Err: m.err})
		}
	}
}

func (w *watcher) adopt(c actor.Context, m messages.Adopt) {
	w.order, w.sender = m, c.Sender()
	w.work.start(c, func(ctx context.Context, _ func(any)) any {
		if w.exits == nil {
			return adoptEnded{}
		}
		ctx, cancel := context.WithTimeout(ctx, adoptWithin)
		defer cancel()
		return adoptEnded{sightings: w.exits.Adopt(ctx, m.Targets)}
	}, func(err error) any { return adoptEnded{err: err} })
}

// begin follows both ports, each in a goroutine of its own, until the actor ends.
func (w *watcher) begin(c actor.Context) {
	ctx, cancel := context.WithCancel(context.Background())
	w.follow = cancel
	root, parent := c.ActorSystem().Root, c.Parent()
	tell := func(m any) { root.Send(parent, m) }
	if w.exits != nil {
		go follow(ctx, tell, "watching by event", func(ctx context.Context) error {
			return w.exits.Follow(ctx, func(e plugin.Exit) { tell(messages.PluginExited{Exit: e}) })
		})
	}
	if w.pulses != nil {
		go follow(ctx, tell, "heartbeat events", func(ctx context.Context) error {
			return w.pulses.Follow(ctx, func(p plugin.Pulse) {
				if p.Lost {
					tell(messages.HeartbeatLost{Pulse: p})
				} else {
					tell(messages.HeartbeatSeen{Pulse: p})
				}
			})
		})
	}
}

// Between two tries to follow; what is missed meanwhile the scans find.
const (
	followAgain = time.Second
	followMax   = time.Minute
)

// follow runs do until ctx ends, again and again if it must.
func follow(ctx context.Context, tell func(any), what string, do func(context.Context) error) {
	for wait := followAgain; ; wait = min(2*wait, followMax) {
		began := time.Now()
		err := recovered(func() error { return do(ctx) })
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > followMax {
			wait = followAgain
		}
		tell(messages.WatchFailed{What: what, Err: fmt.Errorf("no more events, next try in %v: %w", wait, err)})
		if !pause(ctx, wait) {
			return
		}
		tell(messages.WatchFailed{What: what})
	}
}

// recovered turns a panic into an error: supervision does not see goroutines.
func recovered(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return do()
}
