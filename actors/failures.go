package actors

import (
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// reporterLost says the Reporter crashed and forgot what it had in flight.
type reporterLost struct{}

var _ actor.SupervisorStrategy = (*coordinator)(nil)

// HandleFailure decides what becomes of a crashed child. Its order counts as
// failed, else it would stay busy for ever; a worker comes back after a capped
// delay, a Restarter does not: its plugin is cared for by the next attempt.
func (c *coordinator) HandleFailure(sys *actor.ActorSystem, sup actor.Supervisor, child *actor.PID, rs *actor.RestartStatistics, reason, message any) {
	err := fmt.Errorf("%s panicked: %v", child.Id, reason)
	tell := func(fact any) { sys.Root.Send(c.self, fact) }
	for key, u := range c.units {
		if u.attempt != nil && u.attempt.pid.Equal(child) {
			sup.StopChildren(child)
			tell(messages.RestartFailed{Attempt: u.attempt.id, Key: key, Kind: u.attempt.kind, At: c.clock.Now(), Cause: err.Error()})
			return
		}
	}
	at := c.clock.Now()
	switch {
	case child.Equal(c.scanner.pid):
		tell(messages.ScanCompleted{Gen: c.scanner.gen, At: at, Err: err})
	case child.Equal(c.prober.pid):
		tell(messages.ScanCompleted{Gen: c.prober.gen, At: at, Err: err})
	case child.Equal(c.puller.pid):
		tell(messages.PullCompleted{Gen: c.puller.gen, At: at, Err: err})
	case child.Equal(c.inventory.pid):
		tell(messages.InventoryCollected{Gen: c.inventory.gen, At: at, Err: err})
	case child.Equal(c.watcher.pid):
		tell(messages.Adopted{Gen: c.watcher.gen, At: at, Err: err})
	case child.Equal(c.reporter):
		tell(reporterLost{})
	case child.Equal(c.upgrader.pid):
		if o := c.offers.current; o != nil {
			tell(messages.UpgradeCompleted{Gen: c.upgrader.gen, At: at, Offer: *o, Upgraded: plugin.FailedChange(err)})
		} else {
			tell(messages.UpdatesOffered{Gen: c.upgrader.gen, At: at, Err: err})
		}
	}
	workerBackoff.HandleFailure(sys, sup, child, rs, reason, message)
}
