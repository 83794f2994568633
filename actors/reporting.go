package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// owedSpread bounds how long a new process waits before it tells what the one
// before it still owed: spread, as the whole fleet may have been started at once.
const owedSpread = 10 * time.Second

// reportWish is the report that the message being handled leads to.
type reportWish struct {
	own    purpose
	pulled []string
}

// owe notes that a plugin's status has to be told.
func (c *coordinator) owe(p plugin.Plugin, s plugin.Status, tag plugin.SysTag) {
	c.ledger.owe(c.now, p, s, tag)
}

// report has everything owed told once the message is handled. pulled are the
// plugins of a pull report.
func (c *coordinator) report(own purpose, pulled []string) {
	if c.reporting == nil {
		c.reporting = &reportWish{}
	}
	c.reporting.own |= own
	if pulled != nil {
		c.reporting.pulled = pulled
	}
}

func (c *coordinator) sendReport() {
	wish := c.reporting
	c.reporting = nil
	if wish == nil || len(c.ledger.owed) == 0 {
		return
	}
	c.gen++
	m := messages.Report{Gen: c.gen, Report: c.ledger.compose(c.gen, wish.own, wish.pulled)}
	c.then(func(ctx actor.Context) { ctx.Request(c.reporter, m) })
}

// announce owes the control plane an event.
func (c *coordinator) announce(e plugin.Event) {
	if dropped := c.outbox.add(e); dropped != nil {
		c.log.WithFields(logrus.Fields{"event": dropped.ID, "from": dropped.At}).Error("Too many events wait for delivery, the oldest is dropped")
	}
}

func (c *coordinator) sendEvent() {
	if seq, e, ok := c.outbox.next(); ok {
		m := messages.SendEvent{Gen: seq, Event: e}
		c.then(func(ctx actor.Context) { ctx.Request(c.reporter, m) })
	}
}

func (c *coordinator) onOwedDue(m messages.OwedDue) {
	if !c.alarms.rings(alarmKey{kind: alarmOwed}, m.Gen) {
		return
	}
	c.outbox.held = false
	if !c.ledger.awaiting() {
		c.report(purposeOther, nil)
	}
}

func (c *coordinator) onReportDelivered(m messages.ReportDelivered) {
	p, ok := c.ledger.acknowledge(m.Gen, c.acknowledged)
	if !ok {
		return
	}
	c.counters.Reports++
	c.delivery.LastDelivered = c.now
	c.delivery.Attempts, c.delivery.LastError, c.delivery.NextTry = 0, "", time.Time{}
	c.outbox.again()
	c.adopt(m.Answer, p)
}

// acknowledged notes what the control plane knows of a plugin from now on.
func (c *coordinator) acknowledged(key string, o plugin.Owed) {
	c.measured(plugin.MeasureReportLag, o.Since)
	if u, ok := c.units[key]; ok && u.untold {
		u.untold = false
		c.record(u, plugin.Entry{Kind: plugin.EntryReport, Cause: "control plane acknowledged " + o.Status.String()})
	}
}

// adopt takes what an answer sets: the intervals, the mode, and when
// restarted plugins are to be told again.
func (c *coordinator) adopt(a plugin.Answer, p purpose) {
	switch {
	case a.Understood != nil: // SC-19
		c.log.WithError(a.Understood).Warn("Report delivered, but its answer was not understood")
	case a.Code != 0: // SC-24
		c.log.WithField("code", a.Code).Warn("Control plane answered with a code")
	}
	c.adoptInterval(alarmScan, &c.told.Scan, a.ScanInterval, p&purposeScan != 0, p != purposeOther)
	c.adoptInterval(alarmPull, &c.told.Pull, a.PullInterval, p&purposePull != 0, p != purposeOther)
	if m := a.ReportMode; m != nil && (*m == plugin.ReportLazy || *m == plugin.ReportNormal) { // SC-23
		if lazy := *m == plugin.ReportLazy; lazy != c.lazy {
			c.lazy = lazy
			c.saving.settings()
			c.log.WithField("lazy", lazy).Info("Report mode changed")
		}
	}
	c.refreshAfter(a.RefreshInterval)
}

// adoptInterval applies TM-02 and TM-04 to one timer. own: the report ended
// this timer's work.
func (c *coordinator) adoptInterval(kind alarmKind, told *time.Duration, said time.Duration, own, mayPush bool) {
	p := &c.periods[kind]
	interval, ok := clampInterval(said)
	if ok && interval != said {
		c.log.WithFields(logrus.Fields{"timer": periodNames[kind], "said": said, "used": interval}).Warn("Interval from the control plane out of bounds")
	}
	if ok && (interval != *told || interval != p.interval) {
		*told = interval
		c.saving.settings()
		c.log.WithFields(logrus.Fields{"timer": periodNames[kind], "interval": interval}).Info("Interval set by the control plane")
	}
	switch {
	case own:
		if ok {
			p.interval = interval
		}
		p.answered(c.now)
	case ok:
		p.told(c.now, interval, mayPush)
	}
}

// refreshAfter has restarted plugins, once their restart was acknowledged,
// told again after d, if neither scan nor pull comes first (SC-25).
func (c *coordinator) refreshAfter(d time.Duration) {
	for key := range c.restarted {
		if _, owed := c.ledger.owed[key]; owed {
			continue // told by a later report
		}
		delete(c.restarted, key)
		at := c.now.Add(d)
		if d <= 0 || !at.Before(c.periods[alarmScan].due) || !at.Before(c.periods[alarmPull].due) {
			continue
		}
		c.then(func(ctx actor.Context) {
			c.alarms.arm(ctx, alarmKey{alarmRefresh, key}, d, func(gen uint64) any { return messages.RefreshDue{Gen: gen, Key: key} })
		})
	}
}

func (c *coordinator) onReportFailed(m messages.ReportFailed) {
	c.counters.ReportsBad++
	c.delivery.Attempts, c.delivery.LastError, c.delivery.NextTry = m.Try, m.Err.Error(), m.NextTry
	entry := c.log.WithError(m.Err).WithFields(logrus.Fields{"attempt": m.Try, "owed": len(c.ledger.owed)})
	if m.NextTry.IsZero() { // SC-20
		c.ledger.refused(m.Gen)
		entry.Error("Report refused, owed until the next one")
		return
	}
	entry.WithField("next", m.NextTry).Warn("Report not delivered, will be tried again")
}

func (c *coordinator) onEventFailed(m messages.EventFailed) {
	entry := c.log.WithError(m.Err).WithField("attempt", m.Try)
	if m.NextTry.IsZero() {
		c.outbox.failed(m.Gen)
		entry.Error("Event refused, owed until the next occasion")
		return
	}
	entry.WithField("next", m.NextTry).Warn("Event not delivered, will be tried again")
}

// onReporterLost hands a restarted Reporter everything again.
func (c *coordinator) onReporterLost() {
	c.outbox.sending = 0
	c.report(purposeOther, nil)
}

// settings are the durable ones, as they are now.
func (c *coordinator) settings() plugin.Settings {
	return plugin.Settings{
		LastCheck: c.lastCheck, Told: c.told, Configured: c.cfg.Intervals, Lazy: c.lazy,
		PullAcked: c.ledger.pullAcked, Pulled: c.ledger.pulled,
	}
}

// remember begins with the intervals an earlier process was told.
func (c *coordinator) remember(s plugin.Settings) {
	now := remembered(s, c.cfg.Intervals)
	for kind, interval := range [...]time.Duration{now.Scan, now.Pull, now.Update, now.Inventory} {
		c.periods[kind].interval = interval
	}
	if now.Scan != c.cfg.Intervals.Scan {
		c.told.Scan = now.Scan
	}
	if now.Pull != c.cfg.Intervals.Pull {
		c.told.Pull = now.Pull
	}
	if now.Update != c.cfg.Intervals.Update {
		c.told.Update = now.Update
	}
}
