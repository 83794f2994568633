package actors

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// guarded is the option every actor is made with: a panic in it is logged
// with its stack, where it happened, and goes on to its supervisor.
var guarded = actor.WithReceiverMiddleware(logPanics)

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

// workerBackoff is how crashed workers come back: at once is no use, and never giving up is the point.
var workerBackoff = cappedBackoff{base: time.Second, max: time.Minute, window: 10 * time.Minute}

// cappedBackoff restarts a crashed child after a delay that doubles with each
// failure within the window, up to a cap. (The library's own strategies give
// up silently, or grow without bound.) The child's mailbox waits meanwhile.
type cappedBackoff struct{ base, max, window time.Duration }

func (b cappedBackoff) HandleFailure(_ *actor.ActorSystem, sup actor.Supervisor, child *actor.PID, rs *actor.RestartStatistics, _, _ any) {
	n := rs.NumberOfFailures(b.window)
	if n == 0 {
		rs.Reset() // else the list of failure times grows for ever
	}
	rs.Fail()
	delay := b.max
	if n < 16 {
		delay = min(b.max, b.base<<n)
	}
	time.AfterFunc(delay, func() { sup.RestartChildren(child) })
}
