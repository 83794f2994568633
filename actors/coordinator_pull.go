package actors

import (
	"cmp"
	"fmt"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
)

// onPullDue orders, postpones or skips a pull (PL-01 to PL-03).
func (c *coordinator) onPullDue(m messages.PullDue) {
	if !c.timers.takeFired(timerKey{kind: timerPull}, m.Gen) {
		return
	}
	d := c.schedule.DecidePull(c.now.Wall, c.cfg.AvoidWindow)
	if !c.schedule.IsRunning(policy.PullPeriod) && !d.Again.IsZero() {
		c.schedule.Postpone(policy.PullPeriod, d.Again)
		c.log.WithFields(logrus.Fields{"cause": d.Reason, "until": d.Again}).Debug("Pull postponed")
		return
	}
	if !c.schedule.Fire(policy.PullPeriod, c.now.Wall) {
		c.log.WithField("skipped", c.schedule.SkippedCount(policy.PullPeriod)).Warn("Pull skipped, the previous one is still running")
		return
	}
	if !d.Pull {
		c.log.WithField("cause", d.Reason).Debug("Pull skipped")
		return
	}
	c.schedule.Begin(policy.PullPeriod, c.now.Wall)
	c.host.counters.Pulls++
	c.giveOrder(&c.workers.puller, func(gen uint64) any { return messages.Pull{Gen: gen} })
}

// onPullCompleted applies the heartbeats of a pull and reports the statuses (PL-05
// to PL-14).
func (c *coordinator) onPullCompleted(m messages.PullCompleted) {
	if !c.workers.puller.isAnswer(m.Gen) {
		return
	}
	c.schedule.End(policy.PullPeriod)
	if !c.handleList(m.Err == nil, m.List, m.Gen, m.Err) {
		return
	}
	var entries []policy.PullEntry
	var unread error
	for _, b := range m.Heartbeats {
		if b.HostFault {
			unread = cmp.Or(unread, fmt.Errorf("%s: %w", b.Plugin.Key(), b.Err))
		}
		l, ok := c.plugins[b.Plugin.Key()]
		if !ok || l.IsStaleProbe(m.Gen, b.Plugin.Version) {
			continue
		}
		if _, changing := l.CurrentChange(); changing { // UP-10
			continue
		}
		if l.HeartbeatErrChanged(b) {
			c.journal.logFor(l).WithError(b.Err).Warn("Heartbeat cannot be read")
		}
		c.applyFact(l, l.HeartbeatFact(b, m.At.Sub(b.Last), false, c.now))
		if b.Found && b.Err == nil {
			entries = append(entries, policy.PullEntry{Plugin: l.Plugin, Status: l.PullStatus(c.now)})
		}
	}
	c.host.noteProblem("reading heartbeats", unread) // EV-24
	switch {
	case len(entries) == 0: // PL-11
	case !c.reports.AddPull(c.now.Wall, entries, c.lazy):
		c.host.counters.ReportsSuppressed++
	}
}
