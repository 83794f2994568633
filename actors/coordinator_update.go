package actors

import (
	"errors"
	"fmt"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

var errOperatorStopped = errors.New("stopped by an operator")

// onUpdateDue orders an update check, or skips it while the last one runs.
func (c *coordinator) onUpdateDue(m messages.UpdateDue) {
	if !c.timers.takeFired(timerKey{kind: timerUpdate}, m.Gen) {
		return
	}
	if c.changes.ReleaseCheck() {
		c.startChanges() // completes that check, and sets the due time of the next one
	} else if !c.schedule.Fire(policy.UpdatePeriod, c.now.Wall) {
		c.log.WithField("skipped", c.schedule.SkippedCount(policy.UpdatePeriod)).Warn("Update check skipped, the previous one is still running")
		return
	}
	c.schedule.Begin(policy.UpdatePeriod, c.now.Wall)
	c.changes.BeginCheck()
	c.giveOrder(&c.workers.upgrader, func(gen uint64) any { return messages.CheckUpdates{Gen: gen} })
}

// updateCheck names the problem in status while update checks fail.
const updateCheck = "update check"

// onUpdatesOffered queues the changes that the control plane assigned.
func (c *coordinator) onUpdatesOffered(m messages.UpdatesOffered) {
	if !c.workers.upgrader.isAnswer(m.Gen) {
		return
	}
	if m.Err != nil || m.Asked == 0 { // UP-01, UP-03, UP-04: next try in the next period
		c.schedule.End(policy.UpdatePeriod)
		switch {
		case m.Err == nil:
			c.host.solveProblem(updateCheck)
		case m.Asked == 0: // an unreadable list is shown as another problem
			c.log.WithError(m.Err).Warn("Update check failed, retrying in the next period")
		default:
			c.host.addProblem(updateCheck, m.Err)
		}
		return
	}
	c.host.solveProblem(updateCheck)
	for _, change := range m.Handled { // UP-05
		cause := "update to " + change.Version + " handled by the update handler"
		c.noteChange(change, plugin.Entry{Kind: plugin.EntryUpgrade, Cause: cause})
	}
	c.blocked.KeepAssigned(m.Updates.Changes)
	c.changes.AddCheck(m.Updates, m.Handled, c.now.Wall)
	c.startChanges()
}

// resumeChanges has the Upgrader finish or undo the unfinished changes of an earlier
// process before anything else is done to those plugins, and queues the commands
// that waited for them (UP-12).
func (c *coordinator) resumeChanges() {
	unfinished := map[string]bool{}
	for _, change := range c.cfg.UnfinishedChanges {
		unfinished[change.Name] = true
		c.changes.Add(change, c.now.Wall)
	}
	c.cfg.UnfinishedChanges = nil
	for name, l := range c.plugins {
		request := l.Record.Requested
		if request == plugin.RequestNone {
			continue
		}
		if !unfinished[name] { // else the end of the change handles it
			l.ClearRequest()
			record := l.Record
			c.batch.SetRestarts(name, &record, true)
		}
		change := plugin.Change{Name: name, Origin: plugin.FromOperator}
		switch {
		case request == plugin.RequestRemove:
			change.Kind = plugin.ChangeRemove
			c.changes.Add(change, c.now.Wall)
		case request == plugin.RequestRollback:
			change.Kind = plugin.ChangeRollback
			c.changes.Add(change, c.now.Wall)
		case unfinished[name]:
		case request == plugin.RequestStart:
			c.applyFact(l, policy.Fact{Kind: policy.OperatorStart, Cause: "started by an operator"})
		case request == plugin.RequestRestart:
			c.applyFact(l, policy.Fact{Kind: policy.OperatorRestart, Cause: "restarted by an operator"})
		}
	}
	c.startChanges()
}

// startChanges starts the fetches of queued changes while their plugins run (UP-11),
// and grants changes that need none. It completes an update check when all its
// changes have finished (UP-09).
func (c *coordinator) startChanges() {
	for fetch, ok := c.changes.PreemptFetch(); ok; fetch, ok = c.changes.PreemptFetch() {
		c.sendAfterSave(c.workers.upgrader.pid, messages.CancelFetch{Change: fetch})
	}
	for _, change := range c.changes.StartFetches(c.now.Wall) {
		switch {
		case isBarred(c.plugins[change.Name], change):
			c.dropChange(change, errOperatorStopped)
		case change.Kind == plugin.ChangeResume, change.Kind == plugin.ChangeRemove:
			c.grantChange(change.ID)
		default:
			change.Avoid = c.blocked.AvoidedPackage(change, c.now.Wall)
			c.sendAfterSave(c.workers.upgrader.pid, messages.Fetch{Change: change})
		}
	}
	offered, succeeded, next, done := c.changes.FinishCheck()
	if !done {
		return
	}
	if offered > 0 {
		c.log.WithFields(logrus.Fields{"offered": offered, "succeeded": succeeded}).Info("Update check finished")
	}
	c.schedule.End(policy.UpdatePeriod)
	c.setInterval(policy.UpdatePeriod, next, true, true)
}

// isBarred reports whether a change must not be made because an operator stopped the
// plugin and the change would start it (EV-14).
func isBarred(l *policy.Lifecycle, change plugin.Change) bool {
	return l != nil && l.Record.Stopped && change.StartsPlugin() && change.Kind != plugin.ChangeResume
}

// onFetched grants a fetched change, or drops one that failed or is not wanted.
func (c *coordinator) onFetched(m messages.Fetched) {
	_, phase, ok := c.changes.Find(m.Change.ID)
	switch {
	case !ok, c.changes.RequeuePreempted(m.Change.ID, c.now.Wall):
	case phase == policy.ChangeCancelling:
		c.dropChange(m.Change, fmt.Errorf("cancelled: %w", c.changes.CancelCause(m.Change.ID)))
	case m.Err != nil:
		known, avoided := c.blocked.AddFailure(m.Change, m.Err, c.schedule.IntervalOf(policy.UpdatePeriod), c.now.Wall)
		if !avoided {
			c.dropChange(m.Change, m.Err)
			break
		}
		c.changes.Finish(m.Change.ID, false) // not logged again, but reported to the control plane (UP-07)
		c.enqueueEvent(plugin.NewUpdateEvent(c.now.Wall, m.Change, plugin.FailedChange(known)))
	case isBarred(c.plugins[m.Change.Name], m.Change):
		c.sendAfterSave(c.workers.upgrader.pid, messages.CancelFetch{Change: m.Change})
		c.dropChange(m.Change, errOperatorStopped)
	default:
		c.grantChange(m.Change.ID)
	}
	c.startChanges()
}

// grantChange lets the Upgrader make a change as soon as nothing else touches the
// plugin (UP-10).
func (c *coordinator) grantChange(id uint64) {
	change, wanted := c.changes.MarkReady(id, c.now.Wall)
	if !wanted {
		return
	}
	l, known := c.plugins[change.Name]
	if !known {
		l = policy.NewAbsent(plugin.Plugin{Name: change.Name, Version: change.Version, Type: plugin.Unknown}, c.now.Wall)
		c.plugins[change.Name] = l
	}
	c.applyFact(l, policy.Fact{Kind: policy.ChangeGranted, Change: change})
}

// cancelChanges cancels the changes of a plugin that are not being made yet.
func (c *coordinator) cancelChanges(name string, why error) {
	for _, gone := range c.changes.CancelPending(name, why) {
		if gone.Fetching || gone.Fetched {
			c.sendAfterSave(c.workers.upgrader.pid, messages.CancelFetch{Change: gone.Change})
		}
		if l, ok := c.plugins[name]; ok && gone.Fetched { // it waited for an attempt
			c.applyFact(l, policy.Fact{Kind: policy.ChangeDropped})
		}
		if !gone.Fetching { // else when Fetched arrives
			c.dropChange(gone.Change, fmt.Errorf("cancelled: %w", why))
		}
	}
	c.startChanges()
}

// dropChange removes a change that touched nothing, and reports the reason (UP-07).
func (c *coordinator) dropChange(change plugin.Change, why error) {
	c.changes.Finish(change.ID, false)
	failed := plugin.FailedChange(why)
	_, installed := c.plugins[change.Name]
	c.host.countChange(change, failed)
	if change.Kind != plugin.ChangeRemove {
		c.enqueueEvent(plugin.NewUpdateEvent(c.now.Wall, change, failed))
	}
	c.noteChange(change, plugin.Entry{Kind: plugin.EntryUpgrade, Cause: policy.DescribeChange(change, failed, installed), Failed: true})
}

// onChangeCompleted applies the result of a change, and reports it.
func (c *coordinator) onChangeCompleted(m messages.ChangeCompleted) {
	change, known := c.changes.Finish(m.Change.ID, m.Result.Err == nil)
	if !known {
		return
	}
	c.blocked.RecordResult(change, m.Result, c.schedule.IntervalOf(policy.UpdatePeriod), c.now.Wall)
	c.host.countChange(change, m.Result)
	if change.Kind != plugin.ChangeRemove {
		c.enqueueEvent(plugin.NewUpdateEvent(c.now.Wall, change, m.Result)) // UP-07
	}
	if l, ok := c.plugins[change.Name]; ok {
		c.applyFact(l, policy.Fact{Kind: policy.ChangeCompleted, At: c.now, Change: change, Result: m.Result})
	}
	c.startChanges()
}
