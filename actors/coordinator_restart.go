package actors

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// attempts are the Restarters that are alive.
type attempts struct {
	live     map[uint64]*liveAttempt // by number
	restarts int                     // how many of them are automatic restarts
}

type liveAttempt struct {
	of      *policy.Lifecycle
	pid     *actor.PID
	restart bool // it is neither an operator's nor a stop
}

// countRestarts returns how many restarts wait or run (EV-05).
func (a *attempts) countRestarts() int { return a.restarts }

// find returns the plugin of an attempt that is still awaited, nil if none is.
func (a *attempts) find(id uint64) *policy.Lifecycle {
	if live, ok := a.live[id]; ok && live.of.AttemptID() == id {
		return live.of
	}
	return nil
}

// add notes an attempt that the plugin's one Restarter is to make (RS-04).
func (a *attempts) add(id uint64, of *policy.Lifecycle) *liveAttempt {
	live := &liveAttempt{of: of, restart: of.IsRestartPending()}
	a.live[id] = live
	if live.restart {
		a.restarts++
	}
	return live
}

// release forgets an attempt that has ended.
func (a *attempts) release(id uint64) {
	if live, ok := a.live[id]; ok && live.restart {
		a.restarts--
	}
	delete(a.live, id)
}

// sendTo returns what sends a message to an attempt.
func (a *attempts) sendTo(id uint64, m any) func(actor.Context) {
	live := a.live[id]
	return func(ctx actor.Context) { ctx.Send(live.pid, m) }
}

// onSlotRequested asks for a slot, and for the budget of the host (RS-03,
// EV-13).
func (c *coordinator) onSlotRequested(m messages.SlotRequested) {
	l := c.attempts.find(m.Attempt)
	if l == nil || !l.MayBegin() {
		return
	}
	granted, refill := c.starts.RequestStart(m.Attempt, l.IsUnbudgeted(), c.now)
	c.grantSlots(granted, refill)
}

// onBudgetDue serves the attempts that wait for the restart budget (EV-13).
func (c *coordinator) onBudgetDue(m messages.BudgetDue) {
	if c.timers.takeFired(timerKey{kind: timerBudget}, m.Gen) {
		granted, refill := c.starts.RefillBudget(c.now)
		c.grantSlots(granted, refill)
	}
}

// grantSlots lets attempts begin their verb, or run `--status` after it.
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

// onAttemptEnded hands the end of an attempt to its plugin's lifecycle.
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

// successFact and failed return what the end of an attempt is a fact of.
func successFact(m messages.RestartSucceeded) policy.Fact {
	f := policy.Fact{Kind: policy.StartSucceeded, Outcome: m.Outcome, Probe: m.Probe}
	if m.Kind == messages.KindStop {
		f.Kind = policy.StopSucceeded
	}
	return f
}

func failureFact(m messages.RestartFailed) policy.Fact {
	f := policy.Fact{Kind: policy.StartFailed, Cause: m.Cause, Outcome: m.Outcome, Probe: m.Probe, HostFault: m.HostFault}
	f.Gone = errors.Is(m.Outcome.Err, plugin.ErrNotInstalled)
	if m.Kind == messages.KindStop {
		f.Kind = policy.StopFailed
	}
	return f
}

// onPluginTimer hands the timer of a single plugin to its lifecycle.
func (c *coordinator) onPluginTimer(key timerKey, gen uint64, fact policy.FactKind) {
	if l, ok := c.plugins[key.key]; c.timers.takeFired(key, gen) && ok {
		c.applyFact(l, policy.Fact{Kind: fact})
	}
}

// restartConfig returns what restarts are decided by; scan is the interval of the scans.
func (r RestartPolicy) restartConfig(scan time.Duration) policy.RestartConfig {
	p := policy.RestartConfig{
		Stagger: r.Stagger, BackoffInitial: r.BackoffInitial, BackoffMax: r.BackoffMax, HealthyAfter: r.HealthyAfter, OnHang: r.OnHang,
	}
	if r.OncePerScan {
		p.NoAnswer = scan
	}
	return p
}
