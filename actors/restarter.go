package actors

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

const (
	// slotTimeout is the longest time that an attempt keeps its slot, so that a hung
	// start does not delay the others (RS-03).
	slotTimeout = time.Second
	// checkTimeout is the longest time that starts of other plugins delay the
	// `--status` after the verb: starts are more urgent than checks.
	checkTimeout = 10 * time.Second
)

// restarter makes one attempt at one plugin. It waits for the delay, requests a
// slot, runs the verb, requests a slot again, runs `--status`, reports the result to
// its parent, and stops.
//
//	waiting ──time is up──▶ SlotRequested ──SlotGranted──▶ verb ──▶ CheckRequested ──SlotGranted──▶ `--status` ──▶ RestartSucceeded | RestartFailed
//	   └───────Cancel─────────────┴──────────Cancel─────────┴────────────┴─────────────Cancel──────────┴──────▶ RestartCancelled
type restarter struct {
	attempt messages.Attempt
	manager Manager
	clock   Clock

	work      work
	timer     *time.Timer
	checkNow  chan struct{} // closed when `--status` may run after the verb
	verbDone  bool          // the verb has finished, and CheckRequested was sent
	cancelled bool          // cancelled while the verb ran
}

// newRestarter returns the Props of a Restarter.
func newRestarter(a messages.Attempt, m Manager, clock Clock) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return &restarter{attempt: a, manager: m, clock: clock} }, withPanicLogging)
}

// The messages that a Restarter sends to itself.
type (
	waitOver     struct{}
	takesLong    struct{}
	verbEnded    struct{}
	attemptEnded struct {
		outcome plugin.Outcome
		probe   plugin.Probe
		err     error // the attempt itself failed: a panic, or cancelled before its verb
	}
)

func (waitOver) IgnoreDeadLetterLogging()     {}
func (takesLong) IgnoreDeadLetterLogging()    {}
func (verbEnded) IgnoreDeadLetterLogging()    {}
func (attemptEnded) IgnoreDeadLetterLogging() {}

func (r *restarter) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		r.timer = sendAfter(c, r.attempt.Delay, waitOver{})
	case *actor.Stopping, *actor.Restarting:
		r.timer.Stop()
		r.work.stop()
	case waitOver:
		c.Send(c.Parent(), messages.SlotRequested{Attempt: r.attempt.ID, Key: r.attempt.Plugin.Key()})
	case messages.SlotGranted:
		if m.Attempt == r.attempt.ID {
			r.useSlot(c)
		}
	case takesLong:
		c.Send(c.Parent(), messages.SlotReturned{Attempt: r.attempt.ID})
		r.allowCheck()
	case verbEnded:
		r.verbDone = true
		r.timer.Stop()
		r.timer = sendAfter(c, checkTimeout, takesLong{})
		c.Send(c.Parent(), messages.CheckRequested{Attempt: r.attempt.ID, Key: r.attempt.Plugin.Key()})
	case messages.Cancel:
		r.cancelAttempt(c, m)
	case attemptEnded:
		r.work.finish()
		r.reportResult(c, m)
	}
}

// useSlot begins the attempt, or allows its final `--status`.
func (r *restarter) useSlot(c actor.Context) {
	r.timer.Stop()
	r.timer = sendAfter(c, slotTimeout, takesLong{})
	if r.work.isBusy() {
		r.allowCheck()
		return
	}
	checkNow := make(chan struct{})
	r.checkNow = checkNow
	r.work.start(c, func(ctx context.Context, send func(any)) any { return r.runAttempt(ctx, send, checkNow) },
		func(err error) any { return attemptEnded{err: err} })
}

// allowCheck lets the attempt run its final `--status`, if its verb has finished.
func (r *restarter) allowCheck() {
	if r.verbDone && r.checkNow != nil {
		close(r.checkNow)
		r.checkNow = nil
	}
}

// cancelAttempt kills the verb that runs, or reports at once that the attempt is
// cancelled.
func (r *restarter) cancelAttempt(c actor.Context, m messages.Cancel) {
	switch {
	case m.Attempt != r.attempt.ID:
	case r.work.isBusy():
		r.cancelled = true
		r.work.cancel() // answered when the process tree has exited
	default:
		r.finishWith(c, messages.RestartCancelled{Attempt: r.attempt.ID, Key: r.attempt.Plugin.Key(), At: r.clock.Now()})
	}
}

// runAttempt makes the attempt, outside of the actor's goroutine.
func (r *restarter) runAttempt(ctx context.Context, send func(any), checkNow <-chan struct{}) attemptEnded {
	p := r.attempt.Plugin
	if r.attempt.CheckFirst && r.attempt.Kind != messages.KindRestart {
		switch probe := r.checkBefore(ctx); {
		case probe.Status == r.wantedStatus():
			return attemptEnded{outcome: plugin.Outcome{Verb: plugin.VerbStart, Skipped: true}, probe: probe}
		case probe.HostFault: // not started, because it may be running (EV-24)
			return attemptEnded{probe: probe}
		}
	}
	if ctx.Err() != nil {
		return attemptEnded{err: ctx.Err()}
	}
	confirm := r.manager.ConfirmStart // RS-06, whatever the outcome
	var outcome plugin.Outcome
	switch r.attempt.Kind {
	case messages.KindStart:
		if r.attempt.Force {
			outcome = r.manager.ForceStart(ctx, p)
		} else {
			outcome = r.manager.Start(ctx, p)
		}
	case messages.KindRestart:
		outcome = r.manager.Restart(ctx, p)
	case messages.KindStop:
		outcome = r.manager.Stop(ctx, p)
		confirm = r.manager.Check
	}
	send(verbEnded{})
	select {
	case <-checkNow:
	case <-ctx.Done():
	}
	return attemptEnded{outcome: outcome, probe: confirm(ctx, p)}
}

// If `--status` says running and no process of the plugin was found, it is repeated
// for confirmFor before it counts (EV-07).
const (
	confirmFor   = 2 * time.Second
	confirmPause = 250 * time.Millisecond
)

// checkBefore runs `--status` before the verb.
func (r *restarter) checkBefore(ctx context.Context) plugin.Probe {
	probe := r.manager.Check(ctx, r.attempt.Plugin)
	if !r.attempt.ConfirmRunning {
		return probe
	}
	for range confirmFor / confirmPause {
		if probe.Status != plugin.StatusRunning || !waitFor(ctx, confirmPause) {
			break
		}
		probe = r.manager.Check(ctx, r.attempt.Plugin)
	}
	return probe
}

// wantedStatus returns the status after a successful attempt.
func (r *restarter) wantedStatus() plugin.Status {
	if r.attempt.Kind == messages.KindStop {
		return plugin.StatusFailed
	}
	return plugin.StatusRunning
}

// reportResult sends the result of the attempt to the parent. The final `--status`
// decides about success.
func (r *restarter) reportResult(c actor.Context, m attemptEnded) {
	key, now := r.attempt.Plugin.Key(), r.clock.Now()
	switch {
	case r.cancelled:
		r.finishWith(c, messages.RestartCancelled{Attempt: r.attempt.ID, Key: key, At: now})
	case m.err == nil && m.probe.Status == r.wantedStatus() && !(m.outcome.HostFault && r.attempt.Kind == messages.KindRestart):
		r.finishWith(c, messages.RestartSucceeded{
			Attempt: r.attempt.ID, Key: key, Kind: r.attempt.Kind, At: now, Outcome: m.outcome, Probe: m.probe,
		})
	default:
		r.finishWith(c, messages.RestartFailed{
			Attempt: r.attempt.ID, Key: key, Kind: r.attempt.Kind, At: now, Outcome: m.outcome, Probe: m.probe,
			Cause: r.failureCause(m), HostFault: m.probe.HostFault || m.outcome.HostFault,
		})
	}
}

// failureCause returns in a few words why the attempt failed.
func (r *restarter) failureCause(m attemptEnded) string {
	verb := r.attempt.Kind.String()
	switch {
	case m.err != nil:
		return fmt.Sprintf("%s: %v", verb, m.err)
	case m.outcome.Err != nil:
		return fmt.Sprintf("%s: %s", verb, m.outcome.Cause())
	case m.probe.HostFault:
		return "--status: " + m.probe.Cause
	case r.attempt.Kind == messages.KindStop:
		return "still running after stop"
	default:
		return fmt.Sprintf("not running after %s: %s", verb, m.probe.Cause)
	}
}

// finishWith sends the last message to the parent and stops the Restarter.
func (r *restarter) finishWith(c actor.Context, m any) {
	c.Send(c.Parent(), m)
	c.Stop(c.Self())
}
