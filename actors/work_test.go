package actors

import (
	"sync/atomic"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"

	"github.com/asynkron/protoactor-go/actor"
)

// withWorker runs fn with one worker in virtual time. Its parent, which also
// sends it the orders and gets the answers, is a probe.
func withWorker(t *testing.T, props *actor.Props, fn func(t *testing.T, parent *actorstest.Probe, order func(m any))) {
	t.Helper()
	actorstest.Run(t, func(t *testing.T, system *actor.ActorSystem) {
		parent := &actorstest.Probe{}
		order, stop := actorstest.Spawn(system, parent, props)
		defer stop()
		fn(t, parent, order)
	})
}

// crashing is a clock that makes the actor that reads it panic once.
type crashing struct {
	*actorstest.World
	armed atomic.Bool
}

func (c *crashing) crash() { c.armed.Store(true) }

func (c *crashing) Now() time.Time {
	if c.armed.CompareAndSwap(true, false) {
		panic("bug")
	}
	return c.World.Now()
}
