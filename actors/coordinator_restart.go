package actors

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// attempts holds the Restarters that run.
type attempts struct {
	live     map[uint64]*liveAttempt // by number
	restarts int                     // number of automatic restarts among them
}

type liveAttempt struct {
	of      *policy.Lifecycle
	pid     *actor.PID
	restart bool // an automatic restart
}

// countRestarts returns the number of restarts that wait or run (EV-05).
func (a *attempts) countRestarts() int { return a.restarts }

// find returns the plugin of an attempt, nil if the attempt is not awaited.
func (a *attempts) find(id uint64) *policy.Lifecycle {
	if live, ok := a.live[id]; ok && live.of.AttemptID() == id {
		return live.of
	}
	return nil
}

// add adds the attempt of the plugin's one Restarter (RS-04).
func (a *attempts) add(id uint64, of *policy.Lifecycle) *liveAttempt {
	live := &liveAttempt{of: of, restart: of.IsRestartPending()}
	a.live[id] = live
	if live.restart {
		a.restarts++
	}
	return live
}

// release removes a finished attempt.
func (a *attempts) release(id uint64) {
	if live, ok := a.live[id]; ok && live.restart {
		a.restarts--
	}
	delete(a.live, id)
}

// sendTo returns a function that sends a message to an attempt.
func (a *attempts) sendTo(id uint64, m any) func(actor.Context) {
	live := a.live[id]
	return func(ctx actor.Context) { ctx.Send(live.pid, m) }
}

// onSlotRequested requests a slot for an attempt, within the budget of the host
// (RS-03, EV-13).
func (c *coordinator) onSlotRequested(m messages.SlotRequested) {
	l := c.attempts.find(m.Attempt)
	if l == nil || !l.MayBegin() {
		return
	}
	granted, refill := c.starts.RequestStart(m.Attempt, l.IsUnbudgeted(), c.now)
	c.grantSlots(granted, refill)
}

// onBudgetDue lets attempts continue that wait for the restart budget (EV-13).
func (c *coordinator) onBudgetDue(m messages.BudgetDue) {
	if c.timers.takeFired(timerKey{kind: timerBudget}, m.Gen) {
		granted, refill := c.starts.RefillBudget(c.now)
		c.grantSlots(granted, refill)
	}
}

// grantSlots allows attempts to run their verb, or `--status` after it.
func (c *coordinator) grantSlots(ids []uint64, refill time.Duration) {
	if refill > 0 {
		c.timers.arm(timerKey{kind: timerBudget}, refill)
	}
	for _, id := range ids {
		if l := c.attempts.find(id); l != nil {
			if l.MayBegin() && !l.HasBegun() {
				c.applyFact(l, policy.Fact{Kind: policy.AttemptBegun})
			}
			c.runAfterSave(c.attempts.sendTo(id, messages.SlotGranted{Attempt: id}))
		}
	}
}

// onAttemptEnded applies the result of an attempt to its plugin.
func (c *coordinator) onAttemptEnded(id uint64, f policy.Fact) {
	if l := c.attempts.find(id); l != nil {
		f.At = c.now
		switch {
		case f.HostFault:
			c.host.faults.add(l.Plugin.Key(), f.Cause, hostFault{attempt: true})
		default:
			c.host.faults.solve(l.Plugin.Key())
		}
		c.applyFact(l, f)
		if f.Outcome.Skipped && l.LacksProcesses() {
			c.observeProcesses([]string{l.Plugin.Key()})
		}
	}
}

// successFact returns the fact of a successful attempt.
func successFact(m messages.RestartSucceeded) policy.Fact {
	f := policy.Fact{Kind: policy.StartSucceeded, Outcome: m.Outcome, Probe: m.Probe}
	if m.Kind == messages.KindStop {
		f.Kind = policy.StopSucceeded
	}
	return f
}

// failureFact returns the fact of a failed attempt.
func failureFact(m messages.RestartFailed) policy.Fact {
	f := policy.Fact{Kind: policy.StartFailed, Cause: m.Cause, Outcome: m.Outcome, Probe: m.Probe, HostFault: m.HostFault}
	f.Gone = errors.Is(m.Outcome.Err, plugin.ErrNotInstalled)
	if m.Kind == messages.KindStop {
		f.Kind = policy.StopFailed
	}
	return f
}

// onPluginTimer applies the timer of a plugin to its lifecycle.
func (c *coordinator) onPluginTimer(key timerKey, gen uint64, fact policy.FactKind) {
	if l, ok := c.plugins[key.key]; c.timers.takeFired(key, gen) && ok {
		c.applyFact(l, policy.Fact{Kind: fact})
	}
}

// restartConfig returns the settings for policy; scan is the interval of the scans.
func (r RestartPolicy) restartConfig(scan time.Duration) policy.RestartConfig {
	p := policy.RestartConfig{
		Stagger: r.Stagger, BackoffInitial: r.BackoffInitial, BackoffMax: r.BackoffMax, HealthyAfter: r.HealthyAfter, OnHang: r.OnHang,
	}
	if r.OncePerScan {
		p.NoAnswer = scan
	}
	return p
}
