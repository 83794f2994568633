package actors

import (
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// pendingSpread is the longest time until a new process sends the reports that an
// earlier one left. The time is random, because the whole fleet may have been
// started at once.
const pendingSpread = 10 * time.Second

// sendPending sends a report, if one is due, and the next event.
func (c *coordinator) sendPending() {
	send, after := c.reports.IsDue(c.now)
	key := timerKey{kind: timerPending}
	switch {
	case send:
		c.seq++
		c.sendAfterSave(c.workers.reporter.pid, messages.Report{Gen: c.seq, Report: c.reports.Compose(c.seq, c.now)})
	case after > 0 && !c.timers.isArmed(key):
		c.timers.arm(key, after)
	}
	if seq, e, ok := c.events.Next(); ok {
		c.sendAfterSave(c.workers.reporter.pid, messages.SendEvent{Gen: seq, Event: e})
	}
}

// enqueueEvent adds an event for the control plane.
func (c *coordinator) enqueueEvent(e plugin.Event) {
	if dropped := c.events.Add(e); dropped != nil {
		c.log.WithFields(logrus.Fields{"event": dropped.ID, "from": dropped.At}).Error("Too many undelivered events, the oldest was dropped")
	}
}

// enqueueReport makes a status pending that a command could not deliver, unless a
// later status of the plugin is known (CL-20). l is the plugin, nil if it is not
// known.
func enqueueReport(r plugin.LateReport, to *policy.Reports, l *policy.Lifecycle, log *logrus.Entry) messages.Accepted {
	o := plugin.PendingReport{Name: r.Name, Version: r.Version, Status: r.Status, SysTag: r.SysTag, Since: r.At, Once: r.Status == plugin.StatusInstalled}
	if l != nil {
		o.ID = l.Plugin.ID
	}
	late := !to.AddLate(r.Name, o)
	to.RequestReport(policy.ForChange, nil)
	log.WithFields(logrus.Fields{
		"plugin": r.Name, "version": r.Version, "status": r.Status.String(), "at": r.At, "outOfDate": late,
	}).Info("Report of a command queued")
	return messages.Accepted{What: "report"}
}

// onPendingDue sends the pending reports and events.
func (c *coordinator) onPendingDue(m messages.PendingDue) {
	if !c.timers.takeFired(timerKey{kind: timerPending}, m.Gen) {
		return
	}
	c.events.Release()
	if !c.reports.IsAwaiting() {
		c.reports.RequestReport(policy.ForChange, nil)
	}
}

// onReportDelivered records what the control plane has acknowledged.
func (c *coordinator) onReportDelivered(m messages.ReportDelivered) {
	p, ok := c.reports.Acknowledge(m.Gen, func(key string, o plugin.PendingReport) {
		c.host.observeSpan(plugin.MeasureReportLag, o.Since)
		if l, ok := c.plugins[key]; ok {
			c.journal.noteAcknowledged(l, o.Status)
		}
	})
	if !ok {
		return
	}
	d := &c.host.delivery
	c.host.counters.ReportsDelivered++
	d.LastDelivered = c.now.Wall
	d.Attempts, d.LastError, d.NextTry = 0, "", time.Time{}
	c.events.RetryRefused()
	c.applyAnswer(m.Answer, p)
}

// applyAnswer applies the settings in an answer: the intervals, the report mode, and
// when restarted plugins are reported again.
func (c *coordinator) applyAnswer(a plugin.Answer, p policy.Purpose) {
	switch {
	case a.ParseErr != nil: // SC-19
		c.log.WithError(a.ParseErr).Warn("Report delivered, but the answer cannot be read")
	case a.Code != 0: // SC-24
		c.log.WithField("code", a.Code).Warn("Report delivered, answered with an error code")
	}
	c.setInterval(policy.ScanPeriod, a.ScanInterval, p&policy.ForScan != 0, p != policy.ForChange)
	c.setInterval(policy.PullPeriod, a.PullInterval, p&policy.ForPull != 0, p != policy.ForChange)
	if m := a.ReportMode; m != nil && (*m == plugin.ReportLazy || *m == plugin.ReportNormal) { // SC-23
		if lazy := *m == plugin.ReportLazy; lazy != c.lazy {
			c.lazy = lazy
			c.batch.SetSettings()
			c.log.WithField("lazy", lazy).Info("Report mode changed")
		}
	}
	// Restarted plugins are reported again, unless a scan or pull is due before
	// (SC-25).
	at := c.now.Wall.Add(a.RefreshInterval)
	for _, key := range c.reports.TakeRefreshes() {
		if a.RefreshInterval > 0 && at.Before(c.schedule.DueAt(policy.ScanPeriod)) && at.Before(c.schedule.DueAt(policy.PullPeriod)) {
			c.timers.arm(timerKey{timerRefresh, key}, a.RefreshInterval)
		}
	}
}

// setInterval applies an interval from the control plane (TM-02, TM-04).
func (c *coordinator) setInterval(p policy.Period, received time.Duration, own, mayPush bool) {
	i := c.schedule.SetInterval(p, received, own, mayPush, c.now.Wall)
	if i.Clamped {
		c.log.WithFields(logrus.Fields{"timer": p.String(), "received": received, "used": i.Used}).Warn("Interval from the control plane is out of bounds")
	}
	if i.Changed {
		c.batch.SetSettings()
		c.log.WithFields(logrus.Fields{"timer": p.String(), "interval": i.Used}).Info("Interval set by the control plane")
	}
}

// onReportFailed records a failed try of a report. Its content stays pending.
func (c *coordinator) onReportFailed(m messages.ReportFailed) {
	d := &c.host.delivery
	c.host.counters.ReportsFailed++
	d.Attempts, d.LastError, d.NextTry = m.Try, m.Err.Error(), m.NextTry
	entry := c.log.WithError(m.Err).WithFields(logrus.Fields{"attempt": m.Try, "pending": c.reports.Count()})
	if m.NextTry.IsZero() { // SC-20
		c.reports.Discard(m.Gen)
		entry.Error("Report rejected, pending until the next report")
		return
	}
	entry.WithField("next", m.NextTry).Warn("Report not delivered, retrying")
}

// onEventFailed records a failed try of an event. The event stays pending.
func (c *coordinator) onEventFailed(m messages.EventFailed) {
	entry := c.log.WithError(m.Err).WithField("attempt", m.Try)
	c.host.noteEvent(m.Err)
	if m.NextTry.IsZero() {
		c.events.MarkRefused(m.Gen)
		entry.Error("Event rejected, pending until a report is delivered")
		return
	}
	entry.WithField("next", m.NextTry).Warn("Event not delivered, retrying")
}
