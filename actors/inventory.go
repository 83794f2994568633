package actors

import (
	"context"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/messages"
)

// inventory carries out CollectInventory orders: it lists the installed plugins. It
// has no state between two orders.
type inventory struct {
	lister Lister
	clock  Clock

	work   work
	sender *actor.PID
}

// newInventory returns the Props of an Inventory.
func newInventory(l Lister, clock Clock) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return &inventory{lister: l, clock: clock} }, withPanicLogging)
}

func (i *inventory) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Stopping, *actor.Restarting:
		i.work.stop()
	case messages.CollectInventory:
		if !i.work.isBusy() {
			i.sender = c.Sender()
			i.work.start(c, func(ctx context.Context, _ func(any)) any {
				list, err := i.lister.List(ctx)
				return messages.InventoryCollected{Gen: m.Gen, At: i.clock.Now(), List: list, Err: err}
			}, func(err error) any { return messages.InventoryCollected{Gen: m.Gen, At: i.clock.Now(), Err: err} })
		}
	case messages.InventoryCollected:
		if i.work.isBusy() {
			i.work.finish()
			c.Send(i.sender, m)
		}
	}
}
