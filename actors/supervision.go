package actors

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// withPanicLogging is an option of every actor: a panic in it is logged with its
// stack before it reaches the actor's supervisor.
var withPanicLogging = actor.WithReceiverMiddleware(logPanics)

func logPanics(next actor.ReceiverFunc) actor.ReceiverFunc {
	return func(c actor.ReceiverContext, e *actor.MessageEnvelope) {
		defer func() {
			if r := recover(); r != nil {
				c.ActorSystem().Logger().Error("Actor panicked", "actor", c.Self().Id,
					"message", fmt.Sprintf("%T", e.Message), "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
				panic(r)
			}
		}()
		next(c, e)
	}
}

// workerBackoff restarts crashed workers, without a limit of restarts.
var workerBackoff = cappedBackoff{base: time.Second, max: time.Minute, window: 10 * time.Minute}

// cappedBackoff restarts a crashed child after a delay that doubles with each
// failure within the window, up to max. (The library's own strategies give up
// silently, or have no limit of the delay.) The child's mailbox is kept meanwhile.
type cappedBackoff struct{ base, max, window time.Duration }

func (b cappedBackoff) HandleFailure(_ *actor.ActorSystem, sup actor.Supervisor, child *actor.PID, rs *actor.RestartStatistics, _, _ any) {
	n := rs.NumberOfFailures(b.window)
	if n == 0 {
		rs.Reset() // else the list of failure times grows without limit
	}
	rs.Fail()
	delay := b.max
	if n < 16 {
		delay = min(b.max, b.base<<n)
	}
	time.AfterFunc(delay, func() { sup.RestartChildren(child) })
}

// reporterLost says that the Reporter crashed and lost its current report and event.
type reporterLost struct{}

var _ actor.SupervisorStrategy = (*coordinator)(nil)

// HandleFailure handles a crashed child. Its orders count as failed, or it would
// stay busy for ever. A worker is restarted after a delay. A Restarter is stopped:
// the next attempt starts its plugin.
func (c *coordinator) HandleFailure(sys *actor.ActorSystem, sup actor.Supervisor, child *actor.PID, rs *actor.RestartStatistics, reason, message any) {
	err := fmt.Errorf("%s panicked: %v", child.Id, reason)
	tell := func(fact any) { sys.Root.Send(c.timers.self, fact) }
	at := c.ports.Clock.Now()
	for id, a := range c.attempts.live {
		if a.pid != nil && a.pid.Equal(child) {
			sup.StopChildren(child)
			tell(messages.RestartFailed{Attempt: id, Key: a.of.Plugin.Key(), Kind: a.of.AttemptVerb(), At: at, Cause: err.Error()})
			return
		}
	}
	switch w := &c.workers; {
	case child.Equal(w.scanner.pid):
		for gen := range c.scans.open {
			tell(messages.ScanCompleted{Gen: gen, At: at, Err: err})
		}
	case child.Equal(w.puller.pid):
		tell(messages.PullCompleted{Gen: w.puller.gen, At: at, Err: err})
	case child.Equal(w.inventory.pid):
		tell(messages.InventoryCollected{Gen: w.inventory.gen, At: at, Err: err})
	case child.Equal(w.watcher.pid):
		tell(messages.Adopted{Gen: w.watcher.gen, At: at, Err: err})
	case child.Equal(w.reporter.pid):
		tell(reporterLost{})
	case child.Equal(w.upgrader.pid):
		tell(messages.UpdatesOffered{Gen: w.upgrader.gen, At: at, Err: err})
		for _, change := range c.changes.ListFetching() {
			tell(messages.Fetched{Change: change, At: at, Err: err})
		}
		for _, change := range c.changes.ListApplying() {
			tell(messages.ChangeCompleted{Change: change, At: at, Result: plugin.FailedChange(err)})
		}
	}
	workerBackoff.HandleFailure(sys, sup, child, rs, reason, message)
}
