package actors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// An update check that fails is tried again this often and this far apart, then waits for the next period (UP-03).
const (
	updateTries = 3
	updateWait  = 3 * time.Second
)

// upgrader asks for updates and carries out one upgrade at a time. The queue
// of offers is the Coordinator's.
type upgrader struct {
	manager Manager
	control ControlPlane
	handler plugin.UpdateHandler
	clock   Clock
	rand    *rand.Rand

	work   work
	sender *actor.PID
}

// newUpgrader makes the Props of an Upgrader; r is its own source of jitter.
func newUpgrader(m Manager, cp ControlPlane, h plugin.UpdateHandler, clock Clock, r *rand.Rand) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		return &upgrader{manager: m, control: cp, handler: h, clock: clock, rand: r}
	}, guarded)
}

func (u *upgrader) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Stopping, *actor.Restarting:
		u.work.stop()
	case messages.CheckUpdates:
		if !u.work.busy() {
			u.sender = c.Sender()
			u.work.start(c, func(ctx context.Context, _ func(any)) any { return u.check(ctx, m.Gen) },
				func(err error) any { return messages.UpdatesOffered{Gen: m.Gen, At: u.clock.Now(), Err: err} })
		}
	case messages.Upgrade:
		if !u.work.busy() {
			u.sender = c.Sender()
			u.work.start(c, func(ctx context.Context, _ func(any)) any { return u.upgrade(ctx, m) },
				func(err error) any { return u.completed(m, false, plugin.FailedChange(err)) })
		}
	case messages.UpdatesOffered, messages.UpgradeCompleted:
		if u.work.busy() {
			u.work.done()
			c.Send(u.sender, m)
		}
	}
}

func (u *upgrader) check(ctx context.Context, gen uint64) messages.UpdatesOffered {
	list, err := u.manager.List(ctx)
	if err != nil {
		return messages.UpdatesOffered{Gen: gen, At: u.clock.Now(), Err: fmt.Errorf("list plugins: %w", err)}
	}
	var upgradable []plugin.Plugin
	for _, p := range list.Plugins {
		if p.Upgradable() {
			upgradable = append(upgradable, p)
		}
	}
	if len(upgradable) == 0 { // UP-01
		return messages.UpdatesOffered{Gen: gen, At: u.clock.Now()}
	}
	updates, err := u.ask(ctx, upgradable)
	return messages.UpdatesOffered{Gen: gen, At: u.clock.Now(), Asked: len(upgradable), Updates: updates, Err: err}
}

// ask makes the request, and again when it fails. An answer that was not
// understood was an answer: it is not asked for again (UP-04).
func (u *upgrader) ask(ctx context.Context, ps []plugin.Plugin) (plugin.Updates, error) {
	for try := 1; ; try++ {
		updates, err := u.control.CheckUpdates(ctx, ps)
		if err == nil || errors.Is(err, plugin.ErrNotUnderstood) || try == updateTries {
			return updates, err
		}
		wait := jitter(updateWait, 2*updateWait, u.rand)
		if !pause(ctx, max(wait, retryAfter(err))) {
			return plugin.Updates{}, errors.Join(err, ctx.Err())
		}
	}
}

func (u *upgrader) upgrade(ctx context.Context, m messages.Upgrade) messages.UpgradeCompleted {
	if m.Offer.Origin == plugin.FromControlPlane && u.handler != nil && u.handler(m.Offer.Name, m.Offer.Version) { // UP-05
		return u.completed(m, true, plugin.Changed{})
	}
	return u.completed(m, false, u.change(ctx, m.Offer))
}

func (u *upgrader) completed(m messages.Upgrade, takenOver bool, up plugin.Changed) messages.UpgradeCompleted {
	return messages.UpgradeCompleted{Gen: m.Gen, At: u.clock.Now(), Offer: m.Offer, TakenOver: takenOver, Upgraded: up}
}

// change fetches what the change needs, and carries it out.
func (u *upgrader) change(ctx context.Context, c plugin.Change) plugin.Changed {
	if err := u.manager.Fetch(ctx, c); err != nil {
		return plugin.FailedChange(err)
	}
	return u.manager.Change(ctx, c, plugin.Permit{})
}
