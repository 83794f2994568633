package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// A failed update check is tried updateTries times, with updateWait or more between
// two tries. The next one is in the next period (UP-03).
const (
	updateTries = 3
	updateWait  = 3 * time.Second
)

// upgrader checks for updates, fetches packages and makes changes. Fetches and
// changes of different plugins run at the same time; the Coordinator holds the queue
// and limits their number. A change is identified by its ID.
type upgrader struct {
	manager      Manager
	controlPlane ControlPlane
	handler      plugin.UpdateHandler
	clock        Clock
	rand         *rand.Rand

	check   work
	checker *actor.PID // sender of the order to check
	fetches map[uint64]*changeWork
	changes map[uint64]*changeWork
	// interrupts holds the interruption of each change that is being made, or was
	// interrupted before that.
	interrupts map[uint64]*interruption
}

// interruption passes an operator's interruption to a change that is being made
// (UP-12).
type interruption struct {
	channel chan plugin.Interruption // of size 1, receives one value
	sent    bool
}

// changeWork is a Fetch or an ApplyChange in progress.
type changeWork struct {
	change    plugin.Change
	sender    *actor.PID
	work      work
	cancelled bool // by CancelFetch
}

// newUpgrader returns the Props of an Upgrader; r is its own source of jitter.
func newUpgrader(m Manager, cp ControlPlane, h plugin.UpdateHandler, clock Clock, r *rand.Rand) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		return &upgrader{
			manager: m, controlPlane: cp, handler: h, clock: clock, rand: r,
			fetches: map[uint64]*changeWork{}, changes: map[uint64]*changeWork{}, interrupts: map[uint64]*interruption{},
		}
	}, withPanicLogging)
}

// The messages of an Upgrader's work. The pointer identifies the order: after a
// crash, messages of lost orders may still arrive.
type (
	fetchEnded struct {
		fetch *changeWork
		err   error
	}
	changeEnded struct {
		change *changeWork
		result plugin.ChangeResult
	}
)

func (fetchEnded) IgnoreDeadLetterLogging()  {}
func (changeEnded) IgnoreDeadLetterLogging() {}

func (u *upgrader) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Stopping, *actor.Restarting:
		u.stopWork()
	case messages.CheckUpdates:
		u.startCheck(c, m)
	case messages.UpdatesOffered:
		if u.check.isBusy() {
			u.check.finish()
			c.Send(u.checker, m)
		}
	case messages.Fetch:
		u.startFetch(c, m.Change)
	case fetchEnded:
		u.endFetch(c, m)
	case messages.CancelFetch:
		u.cancelFetch(c, m.Change)
	case messages.ApplyChange:
		u.startChange(c, m)
	case messages.InterruptChange:
		u.interruptChange(m)
	case changeEnded:
		u.endChange(c, m)
	}
}

// stopWork cancels the check, the fetches and the changes.
func (u *upgrader) stopWork() {
	u.check.stop()
	for _, f := range u.fetches {
		f.work.stop()
	}
	for _, ch := range u.changes {
		ch.work.stop()
	}
}

// ------------------------------------------------------------------ check --

func (u *upgrader) startCheck(c actor.Context, m messages.CheckUpdates) {
	if u.check.isBusy() {
		return
	}
	u.checker = c.Sender()
	log := c.ActorSystem().Logger()
	u.check.start(c, func(ctx context.Context, _ func(any)) any { return u.runCheck(ctx, m.Gen, log) },
		func(err error) any { return messages.UpdatesOffered{Gen: m.Gen, At: u.clock.Now(), Err: err} })
}

// runCheck makes the check, outside of the actor's goroutine.
func (u *upgrader) runCheck(ctx context.Context, gen uint64, log *slog.Logger) messages.UpdatesOffered {
	list, err := u.manager.List(ctx)
	if err != nil {
		return messages.UpdatesOffered{Gen: gen, At: u.clock.Now(), Err: fmt.Errorf("list plugins: %w", err)}
	}
	var upgradable []plugin.Plugin
	for _, p := range list.Plugins {
		if p.IsUpgradable() {
			upgradable = append(upgradable, p)
		}
	}
	if len(upgradable) == 0 { // UP-01
		return messages.UpdatesOffered{Gen: gen, At: u.clock.Now()}
	}
	updates, err := u.requestUpdates(ctx, upgradable)
	handled := u.offerToHandler(ctx, updates.Changes, upgradable, log)
	return messages.UpdatesOffered{
		Gen: gen, At: u.clock.Now(), Asked: len(upgradable), Updates: updates, Handled: handled, Err: err,
	}
}

// requestUpdates sends the request, and retries it when it fails, unless the answer
// cannot be read (UP-04).
func (u *upgrader) requestUpdates(ctx context.Context, ps []plugin.Plugin) (plugin.Updates, error) {
	for try := 1; ; try++ {
		updates, err := u.controlPlane.CheckUpdates(ctx, ps)
		if err == nil || errors.Is(err, plugin.ErrUnreadableAnswer) || try == updateTries {
			return updates, err
		}
		wait := policy.AddJitter(updateWait, 2*updateWait, u.rand)
		if !waitFor(ctx, max(wait, retryAfter(err))) {
			return plugin.Updates{}, errors.Join(err, ctx.Err())
		}
	}
}

// offerToHandler calls the update handler for each change, in order, and returns the
// handled ones (UP-05). A change whose handler panics is not handled.
func (u *upgrader) offerToHandler(ctx context.Context, changes []plugin.Change, installed []plugin.Plugin, log *slog.Logger) (handled []plugin.Change) {
	if u.handler == nil {
		return nil
	}
	for _, ch := range changes {
		if ctx.Err() != nil {
			return handled
		}
		update := plugin.AssignedUpdate{Change: ch}
		if i := slices.IndexFunc(installed, func(p plugin.Plugin) bool { return p.Name == ch.Name }); i >= 0 {
			update.Installed = installed[i].Version
		}
		done := false
		err := recoverPanics(func() error { done = u.handler(ctx, update); return nil })
		if err != nil {
			log.Error("Update handler panicked", "plugin", ch.Name, "version", ch.Version, "error", err)
		}
		if done {
			handled = append(handled, ch)
		}
	}
	return handled
}

// ------------------------------------------------------------------ fetch --

func (u *upgrader) startFetch(c actor.Context, change plugin.Change) {
	if u.fetches[change.ID] != nil || u.changes[change.ID] != nil {
		return
	}
	f := &changeWork{change: change, sender: c.Sender()}
	u.fetches[change.ID] = f
	f.work.start(c, func(ctx context.Context, _ func(any)) any { return fetchEnded{f, u.manager.Fetch(ctx, change)} },
		func(err error) any { return fetchEnded{f, err} })
}

func (u *upgrader) endFetch(c actor.Context, m fetchEnded) {
	id := m.fetch.change.ID
	if u.fetches[id] != m.fetch { // of an order before a crash of this actor
		if m.err == nil && u.fetches[id] == nil && u.changes[id] == nil {
			u.discardPackage(c, m.fetch.change)
		}
		return
	}
	delete(u.fetches, id)
	if m.fetch.cancelled && m.err == nil { // it was fetched before the cancellation took effect
		u.discardPackage(c, m.fetch.change)
		m.err = context.Canceled
	}
	c.Send(m.fetch.sender, messages.Fetched{Change: m.fetch.change, At: u.clock.Now(), Err: m.err})
}

func (u *upgrader) cancelFetch(c actor.Context, change plugin.Change) {
	if u.changes[change.ID] != nil { // too late: the package is in use
		return
	}
	delete(u.interrupts, change.ID)
	if f := u.fetches[change.ID]; f != nil {
		f.cancelled = true
		f.work.cancel()
		return
	}
	u.discardPackage(c, change)
}

// discardPackage deletes a fetched package, in a goroutine of its own.
func (u *upgrader) discardPackage(c actor.Context, change plugin.Change) {
	log := c.ActorSystem().Logger()
	go func() {
		if err := recoverPanics(func() error { u.manager.Discard(change); return nil }); err != nil {
			log.Error("Cannot discard package", "plugin", change.Name, "version", change.Version, "error", err)
		}
	}()
}

// ----------------------------------------------------------------- change --

func (u *upgrader) startChange(c actor.Context, m messages.ApplyChange) {
	id := m.Change.ID
	if u.changes[id] != nil {
		return
	}
	ch := &changeWork{change: m.Change, sender: c.Sender()}
	u.changes[id] = ch
	permit := plugin.ChangePermit{StatusBefore: m.StatusBefore, Interrupt: u.findInterruption(id).channel}
	ch.work.start(c, func(ctx context.Context, _ func(any)) any {
		return changeEnded{ch, u.manager.Change(ctx, m.Change, permit)}
	}, func(err error) any { return changeEnded{ch, plugin.FailedChange(err)} })
}

// interruptChange passes an interruption to a change, now or when the change begins.
// It replaces an interruption that was not received yet.
func (u *upgrader) interruptChange(m messages.InterruptChange) {
	i := u.findInterruption(m.Change.ID)
	if i.sent {
		select {
		case <-i.channel:
		default: // received: the change is being undone
			return
		}
	}
	i.sent = true
	i.channel <- plugin.Interruption{LeaveStopped: m.LeaveStopped} // never blocks: this actor is the only sender
}

// findInterruption returns the interruption of a change, a new one if there is none.
func (u *upgrader) findInterruption(id uint64) *interruption {
	if u.interrupts[id] == nil {
		u.interrupts[id] = &interruption{channel: make(chan plugin.Interruption, 1)}
	}
	return u.interrupts[id]
}

func (u *upgrader) endChange(c actor.Context, m changeEnded) {
	id := m.change.change.ID
	if u.changes[id] != m.change { // of an order before a crash of this actor
		return
	}
	delete(u.changes, id)
	delete(u.interrupts, id)
	c.Send(m.change.sender, messages.ChangeCompleted{Change: m.change.change, At: u.clock.Now(), Result: m.result})
}
