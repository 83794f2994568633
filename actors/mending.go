package actors

import (
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// learn takes note of what is installed: new plugins, new versions, and those
// that are gone.
func (c *coordinator) learn(list plugin.List) {
	c.noteDamage(list.Damaged)
	present := make(map[string]bool, len(list.Plugins))
	for _, p := range list.Plugins {
		if p.Removed {
			continue
		}
		key := p.Key()
		present[key] = true
		u, known := c.units[key]
		if !known {
			u = c.meet(p)
		}
		if known && u.plugin.Version != p.Version && u.attempt != nil && !u.attempt.begun {
			c.cancel(u) // it was meant for another version (RS-09)
			u.again = "version changed to " + p.Version
		}
		u.vouched = u.vouched && u.plugin.Version == p.Version
		c.regroup = true
		u.plugin, u.removed = p, false
	}
	for key, u := range c.units {
		if !present[key] && !u.upgrading && !u.removed {
			c.lose(u)
		}
	}
	c.ledger.forget(func(key string) bool { return present[key] })
}

// meet begins to care for a plugin that was not known.
func (c *coordinator) meet(p plugin.Plugin) *unit {
	key := p.Key()
	u := &unit{plugin: p, state: plugin.StateInstalled, since: c.now, restarts: c.idle[key]}
	u.ran = !u.restarts.Up.IsZero()
	if u.restarts.Stopped {
		u.state, u.why = plugin.StateStopped, u.restarts.Cause
	}
	delete(c.idle, key)
	c.units[key], c.regroup = u, true
	return u
}

// lose stops caring for a plugin whose record is gone (RS-09).
func (c *coordinator) lose(u *unit) {
	key := u.plugin.Key()
	c.move(u, plugin.StateRemoved, "no longer installed")
	u.removed, c.regroup = true, true
	c.alarms.stop(alarmKey{alarmHealthy, key})
	c.alarms.stop(alarmKey{alarmRefresh, key})
	c.alarms.stop(alarmKey{alarmSilence, key})
	c.saving.restarts(key, nil, false)
	delete(c.restarted, key)
	if u.attempt != nil {
		c.cancel(u)
		return
	}
	delete(c.units, key)
}

func (c *coordinator) noteDamage(damaged []plugin.Damage) {
	for _, d := range damaged {
		if !slices.Contains(c.damaged, d) {
			c.log.WithFields(logrus.Fields{"where": d.Where, "cause": d.Why}).Error("Damaged, not used")
		}
	}
	c.damaged = damaged
}

// move is the one place that changes a plugin's state (the diagram is above
// unit). It clears what was to come next; who plans something says so after it.
func (c *coordinator) move(u *unit, to plugin.State, cause string) {
	from := u.state
	u.why, u.next, u.nextAt = cause, "", time.Time{}
	if from == to {
		return
	}
	u.state, u.since = to, c.now
	c.record(u, plugin.Entry{Kind: plugin.EntryState, From: from, To: to, Cause: cause})
	changed := messages.StateChanged{At: c.now, Key: u.plugin.Key(), Version: u.plugin.Version, From: from, To: to, Cause: cause}
	c.then(func(ctx actor.Context) {
		changed.Next, changed.NextAt = u.next, u.nextAt
		entry := c.log.WithFields(logrus.Fields{
			"plugin": changed.Key, "version": changed.Version, "from": from.String(), "to": to.String(), "cause": cause, "next": changed.Next,
		})
		if to == plugin.StateCrashLoop || to == plugin.StateDegraded {
			entry.Warn("Plugin changed state")
		} else {
			entry.Info("Plugin changed state")
		}
		ctx.ActorSystem().EventStream.Publish(changed)
	})
}

// plan says what will happen to the plugin next.
func (u *unit) plan(what string, at time.Time) { u.next, u.nextAt = what, at }

// about is the log with the plugin in it.
func (c *coordinator) about(u *unit) *logrus.Entry {
	return c.log.WithFields(logrus.Fields{"plugin": u.plugin.Key(), "version": u.plugin.Version})
}

func (c *coordinator) remembered(u *unit, sync bool) {
	r := u.restarts
	c.saving.restarts(u.plugin.Key(), &r, sync)
}

// sawRunning takes note that `--status` says running. It is false while an
// attempt works on the plugin: then its end tells.
func (c *coordinator) sawRunning(u *unit) bool {
	if u.attempt != nil {
		if u.attempt.begun || u.attempt.kind != messages.KindStart {
			return false
		}
		c.cancel(u) // somebody else has started it: it must not run twice
	}
	u.ran, u.again, u.inherited = true, "", false
	if u.runs.IsZero() {
		u.runs, u.probation = c.now, u.restarts.Failures > 0
		c.up(u, c.now)
	}
	switch u.state {
	case plugin.StateRunning, plugin.StateDegraded:
	case plugin.StateInstalled:
		c.move(u, plugin.StateRunning, "found running")
	default:
		c.move(u, plugin.StateRunning, "found running, not started by the supervisor")
	}
	c.prove(u)
	return true
}

// prove ends the plugin's probation if it was seen healthy for long enough;
// only that forgets its failures (RS-05).
func (c *coordinator) prove(u *unit) {
	if !u.healthy(c.now, c.cfg.Restart.HealthyAfter) || (!u.probation && u.restarts.Failures == 0) {
		return
	}
	u.probation = false
	if u.restarts.Failures > 0 {
		c.about(u).WithField("failures", u.restarts.Failures).Info("Plugin is healthy again")
		u.restarts.Failures = 0
		c.remembered(u, false)
	}
}

// sawDead takes note that a plugin does not run, and brings it back (SC-14).
func (c *coordinator) sawDead(u *unit, cause string) {
	switch {
	case u.plugin.Duplicate:
		c.move(u, plugin.StateInstalled, "not running ("+cause+"), a duplicate is never started")
	case u.restarts.Stopped && u.attempt == nil:
		c.move(u, plugin.StateStopped, u.restarts.Cause)
	case u.attempt != nil && u.attempt.cancelling:
		u.again = cause // once that has ended, unless somebody else wants the plugin then
	case u.inherited && u.mayMend():
		c.resumeStart(u)
	default:
		c.mend(u, messages.KindStart, cause)
	}
	if u.attempt == nil {
		c.down(u)
	}
}

// resumeStart lets a start come to its end that an earlier life of the
// supervisor began. It gets the plugin's deadline, and is no failure (EV-07).
func (c *coordinator) resumeStart(u *unit) {
	u.inherited = false
	u.restarts.Cause = "its start was under way when the supervisor ended"
	c.move(u, plugin.StateStarting, u.restarts.Cause)
	u.plan(messages.KindStart.String(), c.now)
	c.spawn(u, messages.Attempt{Kind: messages.KindStart}, false)
	u.attempt.resumed = true
}

// mend spawns the Restarter that brings a plugin back: after a random part of
// the stagger, or, when it failed again before it was healthy, after its
// backoff (RS-01, RS-05).
func (c *coordinator) mend(u *unit, kind messages.Kind, cause string) {
	if !u.mayMend() {
		return
	}
	wait := within(c.cfg.Restart.Stagger, c.rand)
	if n := c.failed(u, cause); n > 0 {
		wait = nthBackoff(n, c.cfg.Restart.BackoffInitial, c.cfg.Restart.BackoffMax, c.rand)
	}
	c.bringBack(u, messages.Attempt{Kind: kind, After: wait, Check: wait > 0}, cause)
}

// failed counts a failure, and tells how many there were in a row before the
// plugin was healthy, beyond the first.
func (c *coordinator) failed(u *unit, cause string) int {
	if u.probation {
		u.probation = false
		u.restarts.Failures++
	}
	u.restarts.Cause = cause
	c.down(u)
	c.remembered(u, false)
	if u.ran {
		c.noteFailure(u)
	}
	return u.restarts.Failures
}

// bringBack has the attempt made that was decided on.
func (c *coordinator) bringBack(u *unit, a messages.Attempt, cause string) {
	at := c.now.Add(a.After)
	if u.restarts.Failures == 0 {
		c.move(u, plugin.StateStarting, cause)
		u.plan(a.Kind.String(), at)
	} else {
		c.move(u, plugin.StateCrashLoop, cause)
		u.plan("retry", at)
	}
	c.spawn(u, a, false)
}

// spawn starts the plugin's one Restarter (RS-04).
func (c *coordinator) spawn(u *unit, order messages.Attempt, operator bool) {
	c.gen++
	order.ID, order.Plugin = c.gen, u.plugin
	a := &attempt{id: c.gen, kind: order.Kind, operator: operator}
	u.attempt, u.gone = a, nil
	c.alarms.stop(alarmKey{alarmHealthy, u.plugin.Key()})
	c.then(func(ctx actor.Context) {
		pid, err := ctx.SpawnNamed(c.crew.restarter(order), fmt.Sprintf("restarter-%d", a.id))
		if err != nil {
			panic(fmt.Errorf("spawn restarter: %w", err)) // the id is new: this cannot be
		}
		a.pid = pid
	})
}

// cancel ends the plugin's attempt; whoever waits for that is served in settle (RS-09).
func (c *coordinator) cancel(u *unit) {
	a := u.attempt
	if a == nil || a.cancelling {
		return
	}
	a.cancelling = true
	if !a.begun {
		c.releaseSlot(a.id) // or its place in line
	}
	c.then(func(ctx actor.Context) { ctx.Send(a.pid, messages.Cancel{Attempt: a.id}) })
}

// attempting finds the plugin of an attempt that is still awaited.
func (c *coordinator) attempting(key string, id uint64) *unit {
	if u, ok := c.units[key]; ok && u.attempt != nil && u.attempt.id == id {
		return u
	}
	return nil
}

func (c *coordinator) onSlotRequested(m messages.SlotRequested) {
	u := c.attempting(m.Key, m.Attempt)
	if u == nil || u.attempt.cancelling {
		return
	}
	if m.Look {
		if next, ok := c.slots.look(m.Attempt); ok {
			c.grantSlot(next)
		}
		return
	}
	if !u.attempt.operator && u.attempt.kind != messages.KindStop {
		if len(c.broke) > 0 || !c.afford() {
			c.broke = append(c.broke, m.Attempt)
			return
		}
	}
	c.requestSlot(m.Attempt)
}

func (c *coordinator) requestSlot(id uint64) {
	if c.slots.request(id) {
		c.grantSlot(id)
	}
}

// afford takes one restart out of the host's budget; when there is none, the
// attempts in line are served as soon as there is (EV-13).
func (c *coordinator) afford() bool {
	wait, ok := c.budget.take(c.now)
	if !ok {
		c.then(func(ctx actor.Context) {
			c.alarms.arm(ctx, alarmKey{kind: alarmBudget}, wait, func(gen uint64) any { return messages.BudgetDue{Gen: gen} })
		})
	}
	return ok
}

func (c *coordinator) onBudgetDue(m messages.BudgetDue) {
	if !c.alarms.rings(alarmKey{kind: alarmBudget}, m.Gen) {
		return
	}
	for len(c.broke) > 0 && c.afford() {
		next := c.broke[0]
		c.broke = c.broke[1:]
		c.requestSlot(next)
	}
}

func (c *coordinator) releaseSlot(id uint64) {
	c.broke = slices.DeleteFunc(c.broke, func(waiting uint64) bool { return waiting == id })
	if next, ok := c.slots.release(id); ok {
		c.grantSlot(next)
	}
}

func (c *coordinator) grantSlot(id uint64) {
	for _, u := range c.units {
		if a := u.attempt; a != nil && a.id == id {
			if !a.begun {
				a.begun = true
				if u.state == plugin.StateCrashLoop {
					c.move(u, plugin.StateStarting, u.why)
				}
				u.plan("", time.Time{})
			}
			c.then(func(ctx actor.Context) { ctx.Send(a.pid, messages.SlotGranted{Attempt: id}) })
			return
		}
	}
}

// ended takes an attempt down and gives its slot to the next.
func (c *coordinator) ended(u *unit) {
	c.releaseSlot(u.attempt.id)
	u.attempt = nil
}

func (c *coordinator) onRestartCancelled(m messages.RestartCancelled) {
	if u := c.attempting(m.Key, m.Attempt); u != nil {
		c.ended(u)
		c.settle(u)
	}
}

func (c *coordinator) onRestartSucceeded(m messages.RestartSucceeded) {
	u := c.attempting(m.Key, m.Attempt)
	if u == nil {
		return
	}
	first := u.restarts.Last.Wall.IsZero() && !u.ran // its first start ever is no restart
	why, resumed := "restarted after: "+u.restarts.Cause, u.attempt.resumed
	switch {
	case u.attempt.operator:
		why = u.restarts.Cause
	case first:
		why = "started by the supervisor"
	}
	c.ended(u)
	if m.Kind == messages.KindStop {
		c.move(u, plugin.StateStopped, u.restarts.Cause)
		c.down(u)
		c.owe(u.plugin, plugin.StatusFailed, plugin.SysTagNone)
		c.report(purposeOther, nil)
		c.settle(u)
		return
	}
	switch {
	case m.Outcome.Skipped && resumed:
		why = "started before the supervisor was"
	case m.Outcome.Skipped:
		why = "found running, started by another program"
	case !first:
		u.restarts.Count++
		c.counters.Restarts++
	}
	u.restarts.Last.Wall, u.ran, u.debut = m.At, true, first
	u.runs, u.probation, u.again = m.At, true, ""
	c.runs(u, m.At, m.Outcome)
	c.remembered(u, false)
	c.measured(plugin.MeasureRestart, u.fell)
	u.fell = time.Time{}
	if !u.upgrading {
		c.move(u, plugin.StateRunning, why)
	}
	c.watchHealth(u)
	c.owe(u.plugin, plugin.StatusRunning, plugin.SysTagNone) // RS-06
	c.restarted[m.Key] = true
	c.report(purposeOther, nil)
	gone := u.gone
	u.gone = nil
	if !c.settle(u) && gone != nil && gone.Life >= u.life { // while `--status` was asked
		c.exited(u, *gone)
	}
}

// runs notes what a verb left running.
func (c *coordinator) runs(u *unit, at time.Time, o plugin.Outcome) {
	u.life = max(u.life, o.Life)
	if !o.Skipped || len(o.Processes) > 0 { // else it runs on as what it was
		u.processes = o.Processes
	}
	c.up(u, at)
	if u.beat.Found && u.beat.Err == nil {
		c.watchSilence(u)
	}
}

// watchHealth has the plugin looked at when it has had the time to prove itself.
func (c *coordinator) watchHealth(u *unit) {
	key := u.plugin.Key()
	c.then(func(ctx actor.Context) {
		c.alarms.arm(ctx, alarmKey{alarmHealthy, key}, c.cfg.Restart.HealthyAfter,
			func(gen uint64) any { return messages.HealthyDue{Gen: gen, Key: key} })
	})
}

func (c *coordinator) onRestartFailed(m messages.RestartFailed) {
	u := c.attempting(m.Key, m.Attempt)
	if u == nil {
		return
	}
	c.ended(u)
	c.counters.RestartsBad++
	u.gone = nil
	c.about(u).WithFields(logrus.Fields{"cause": m.Cause, "output": m.Outcome.Output}).Warn("Attempt failed")
	status := m.Probe.Status
	if status != plugin.StatusRunning {
		status = plugin.StatusFailed
	}
	c.owe(u.plugin, status, plugin.SysTagNone) // RS-06, whatever the outcome
	c.report(purposeOther, nil)
	c.record(u, plugin.Entry{Kind: plugin.EntryAttempt, Cause: m.Cause, Output: m.Outcome.Output})
	if m.Kind == messages.KindStop {
		c.move(u, plugin.StateRunning, m.Cause)
		c.settle(u)
		return
	}
	u.restarts.Count++
	u.restarts.Failures++
	u.restarts.Last.Wall = m.At
	u.restarts.Cause = m.Cause
	c.remembered(u, false)
	if c.settle(u) {
		return
	}
	kind := messages.KindStart
	if status == plugin.StatusRunning {
		kind = messages.KindRestart
	}
	c.mend(u, kind, m.Cause)
}

// settle serves whoever waited for the plugin's attempt to end; it tells
// whether somebody did.
func (c *coordinator) settle(u *unit) bool {
	switch {
	case u.upgrading:
		c.grantUpgrade()
	case u.removed:
		delete(c.units, u.plugin.Key())
	case u.operator:
		u.operator = false
		c.obey(u, u.wanted)
	case u.again != "":
		cause := u.again
		u.again = ""
		c.mend(u, messages.KindStart, cause)
	default:
		return false
	}
	return true
}
