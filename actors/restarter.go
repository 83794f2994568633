package actors

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// slotPatience is how long a start may take before it gives its slot back, so
// that a hung one does not hold up the others (RS-03), and how long they may
// hold up the look at what was started.
const slotPatience = time.Second

// restarter lives for one attempt at one plugin: it waits the time it was
// given, asks for a slot, runs its verb, lets those that are still down go
// first, asks `--status`, tells its parent how it went, and ends.
//
//	waiting ──time is up──▶ asking ──SlotGranted──▶ running ──SlotGranted──▶ looking ──▶ RestartSucceeded | RestartFailed
//	   └───────────Cancel──────┴───────────Cancel──────┴───────────Cancel───────┴──────▶ RestartCancelled
type restarter struct {
	attempt messages.Attempt
	manager Manager
	clock   Clock

	work      work
	timer     *time.Timer
	look      chan struct{} // closed when `--status` may be asked
	ended     bool          // its verb has, and it asked to look
	cancelled bool          // told to end while its verb ran
}

// newRestarter makes the Props of a Restarter.
func newRestarter(a messages.Attempt, m Manager, clock Clock) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return &restarter{attempt: a, manager: m, clock: clock} }, guarded)
}

// What a Restarter sends to itself.
type (
	waitOver     struct{}
	takesLong    struct{}
	verbEnded    struct{}
	attemptEnded struct {
		outcome plugin.Outcome
		probe   plugin.Probe
		err     error // the attempt itself broke
	}
)

func (waitOver) IgnoreDeadLetterLogging()     {}
func (takesLong) IgnoreDeadLetterLogging()    {}
func (verbEnded) IgnoreDeadLetterLogging()    {}
func (attemptEnded) IgnoreDeadLetterLogging() {}

func (r *restarter) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		r.timer = alarm(c, r.attempt.After, waitOver{})
	case *actor.Stopping, *actor.Restarting:
		r.timer.Stop()
		r.work.stop()
	case waitOver:
		c.Send(c.Parent(), messages.SlotRequested{Attempt: r.attempt.ID, Key: r.attempt.Plugin.Key()})
	case messages.SlotGranted:
		if m.Attempt == r.attempt.ID {
			r.granted(c)
		}
	case takesLong:
		c.Send(c.Parent(), messages.SlotReturned{Attempt: r.attempt.ID})
		r.mayLook()
	case verbEnded:
		r.ended = true
		r.timer.Stop()
		r.timer = alarm(c, slotPatience, takesLong{})
		c.Send(c.Parent(), messages.SlotRequested{Attempt: r.attempt.ID, Key: r.attempt.Plugin.Key(), Look: true})
	case messages.Cancel:
		r.cancel(c, m)
	case attemptEnded:
		r.work.done()
		r.tell(c, m)
	}
}

// granted begins, or goes on to the look.
func (r *restarter) granted(c actor.Context) {
	r.timer.Stop()
	r.timer = alarm(c, slotPatience, takesLong{})
	if r.work.busy() {
		r.mayLook()
		return
	}
	look := make(chan struct{})
	r.look = look
	r.work.start(c, func(ctx context.Context, send func(any)) any { return r.run(ctx, send, look) },
		func(err error) any { return attemptEnded{err: err} })
}

// mayLook lets the attempt ask `--status`, if its verb has ended.
func (r *restarter) mayLook() {
	if r.ended && r.look != nil {
		close(r.look)
		r.look = nil
	}
}

func (r *restarter) cancel(c actor.Context, m messages.Cancel) {
	switch {
	case m.Attempt != r.attempt.ID:
	case r.work.busy():
		r.cancelled = true
		r.work.cancel() // answered when the process tree is gone
	default:
		r.end(c, messages.RestartCancelled{Attempt: r.attempt.ID, Key: r.attempt.Plugin.Key(), At: r.clock.Now()})
	}
}

// run is the attempt itself, off the actor's goroutine.
func (r *restarter) run(ctx context.Context, send func(any), look <-chan struct{}) attemptEnded {
	p := r.attempt.Plugin
	if r.attempt.Kind == messages.KindStart && r.attempt.Check {
		if probe := r.check(ctx); probe.Status == plugin.StatusRunning {
			return attemptEnded{outcome: plugin.Outcome{Verb: plugin.VerbStart, Skipped: true}, probe: probe}
		}
	}
	if ctx.Err() != nil {
		return attemptEnded{err: ctx.Err()}
	}
	var outcome plugin.Outcome
	switch r.attempt.Kind {
	case messages.KindStart:
		outcome = r.manager.Start(ctx, p)
	case messages.KindRestart:
		outcome = r.manager.Restart(ctx, p)
	case messages.KindStop:
		outcome = r.manager.Stop(ctx, p)
	}
	send(verbEnded{})
	select {
	case <-look:
	case <-ctx.Done():
	}
	return attemptEnded{outcome: outcome, probe: r.manager.Check(ctx, p)} // RS-06, whatever the outcome
}

// A plugin that says it runs, though nothing of it is to be seen, is asked
// again for so long before it is believed (EV-07).
const (
	doubtFor   = 2 * time.Second
	doubtPause = 250 * time.Millisecond
)

// check asks `--status`.
func (r *restarter) check(ctx context.Context) plugin.Probe {
	probe := r.manager.Check(ctx, r.attempt.Plugin)
	if !r.attempt.Doubt {
		return probe
	}
	for range doubtFor / doubtPause {
		if probe.Status != plugin.StatusRunning || !pause(ctx, doubtPause) {
			break
		}
		probe = r.manager.Check(ctx, r.attempt.Plugin)
	}
	return probe
}

// tell reports to the parent how the attempt ended; `--status` has the last word.
func (r *restarter) tell(c actor.Context, m attemptEnded) {
	key, now := r.attempt.Plugin.Key(), r.clock.Now()
	wanted := plugin.StatusRunning
	if r.attempt.Kind == messages.KindStop {
		wanted = plugin.StatusFailed
	}
	switch {
	case r.cancelled:
		r.end(c, messages.RestartCancelled{Attempt: r.attempt.ID, Key: key, At: now})
	case m.err == nil && m.probe.Status == wanted:
		r.end(c, messages.RestartSucceeded{
			Attempt: r.attempt.ID, Key: key, Kind: r.attempt.Kind, At: now, Outcome: m.outcome, Probe: m.probe,
		})
	default:
		r.end(c, messages.RestartFailed{
			Attempt: r.attempt.ID, Key: key, Kind: r.attempt.Kind, At: now, Outcome: m.outcome, Probe: m.probe,
			Cause: r.cause(m),
		})
	}
}

// cause says in a few words why the attempt failed.
func (r *restarter) cause(m attemptEnded) string {
	verb := r.attempt.Kind.String()
	switch {
	case m.err != nil:
		return fmt.Sprintf("%s: %v", verb, m.err)
	case m.outcome.Err != nil:
		return fmt.Sprintf("%s: %s", verb, m.outcome.Cause())
	case r.attempt.Kind == messages.KindStop:
		return "still running after stop"
	default:
		return fmt.Sprintf("not running after %s: %s", verb, m.probe.Cause)
	}
}

func (r *restarter) end(c actor.Context, m any) {
	c.Send(c.Parent(), m)
	c.Stop(c.Self())
}
