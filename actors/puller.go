package actors

import (
	"context"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// puller carries out Pull orders: it reads the heartbeats of all Persist plugins. It
// has no state between two orders.
type puller struct {
	lister     Lister
	heartbeats Heartbeats
	clock      Clock

	work   work
	sender *actor.PID
}

// newPuller returns the Props of a Puller.
func newPuller(l Lister, h Heartbeats, clock Clock) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return &puller{lister: l, heartbeats: h, clock: clock} }, withPanicLogging)
}

func (p *puller) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Stopping, *actor.Restarting:
		p.work.stop()
	case messages.Pull:
		if !p.work.isBusy() {
			p.sender = c.Sender()
			p.work.start(c, func(ctx context.Context, _ func(any)) any { return p.readHeartbeats(ctx, m.Gen) },
				func(err error) any { return messages.PullCompleted{Gen: m.Gen, At: p.clock.Now(), Err: err} })
		}
	case messages.PullCompleted:
		if p.work.isBusy() {
			p.work.finish()
			c.Send(p.sender, m)
		}
	}
}

// readHeartbeats carries out the order, outside of the actor's goroutine.
func (p *puller) readHeartbeats(ctx context.Context, gen uint64) messages.PullCompleted {
	list, err := p.lister.List(ctx)
	now := p.clock.Now()
	if err != nil {
		return messages.PullCompleted{Gen: gen, At: now, Err: err}
	}
	var persistent []plugin.Plugin
	for _, one := range list.Plugins {
		if one.IsProbed() {
			persistent = append(persistent, one)
		}
	}
	return messages.PullCompleted{Gen: gen, At: now, List: list, Heartbeats: p.heartbeats.Read(ctx, persistent, now)}
}
