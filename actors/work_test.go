package actors

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/actors/actorstest"
)

// withWorker runs fn with one worker in virtual time. Its parent, which also
// gives it orders and gets the answers, is a probe.
func withWorker(t *testing.T, props *actor.Props, fn func(t *testing.T, parent *actorstest.Probe, order func(m any))) {
	t.Helper()
	bareBubble(t, func(t *testing.T, sys *actor.ActorSystem) {
		var worker *actor.PID
		parent := &actorstest.Probe{Answer: func(c actor.Context, m any) {
			if p, ok := m.(*actor.Props); ok {
				worker = c.Spawn(p)
			}
		}}
		self := sys.Root.Spawn(parent.Props())
		sys.Root.Send(self, props)
		synctest.Wait()
		fn(t, parent, func(m any) {
			sys.Root.RequestWithCustomSender(worker, m, self)
			synctest.Wait()
		})
		_ = sys.Root.StopFuture(self).Wait()
	})
}

// didVerbs returns the plugins that a verb was run of, sorted.
func (w *actorstest.World) didVerbs(verb string) (names []string) {
	w.Lock()
	defer w.Unlock()
	for _, a := range w.Calls {
		if a.verb == verb {
			names = append(names, a.name)
		}
	}
	slices.Sort(names)
	return names
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
	return c.world.Now()
}
