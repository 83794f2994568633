package actors

import (
	"errors"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// offers is the queue of an update check that was answered.
type offers struct {
	waiting   []plugin.Offer
	current   *plugin.Offer // the Upgrader works on it, or will as soon as its plugin is free
	offered   int
	succeeded int
	next      time.Duration
}

var errOperatorStopped = errors.New("stopped by an operator")

func (c *coordinator) onUpdateDue(m messages.UpdateDue) {
	if !c.alarms.rings(alarmKey{kind: alarmUpdate}, m.Gen) {
		return
	}
	p := &c.periods[alarmUpdate]
	if !p.fire(c.now) {
		c.log.WithField("skipped", p.skipped).Warn("Update check skipped, the last one still runs")
		return
	}
	p.begin(c.now)
	c.order(&c.upgrader, func(gen uint64) any { return messages.CheckUpdates{Gen: gen} })
}

func (c *coordinator) onUpdatesOffered(m messages.UpdatesOffered) {
	if !c.upgrader.answers(m.Gen) {
		return
	}
	if m.Err != nil || m.Asked == 0 { // UP-01, UP-03, UP-04: the next period
		c.periods[alarmUpdate].end()
		if m.Err != nil {
			c.log.WithError(m.Err).Warn("Update check failed, next try in the next period")
		}
		return
	}
	c.offers = offers{waiting: m.Updates.Offers, offered: len(m.Updates.Offers), next: m.Updates.NextInterval}
	c.nextOffer()
}

// nextOffer takes the offers one after the other; after the last the timer is
// set anew (UP-09).
func (c *coordinator) nextOffer() {
	o := &c.offers
	for len(o.waiting) > 0 {
		offer := o.waiting[0]
		o.waiting = o.waiting[1:]
		u := c.units[offer.Name]
		if u != nil && u.restarts.Stopped { // EV-14: an upgrade would start it
			c.announce(plugin.NewUpdateEvent(c.now, offer, failedUpgrade(errOperatorStopped)))
			c.about(u).WithField("offer", offer.Version).Warn("Upgrade left out, an operator stopped the plugin")
			continue
		}
		o.current = &offer
		if u != nil {
			u.upgrading, u.before, u.again = true, u.state, ""
			c.move(u, plugin.StateUpgrading, "offered "+offer.Version)
			if u.attempt != nil { // RS-09
				c.cancel(u)
				return
			}
		}
		c.grantUpgrade()
		return
	}
	if o.offered > 0 {
		c.log.WithFields(logrus.Fields{"offered": o.offered, "succeeded": o.succeeded}).Info("Update check done")
	}
	p := &c.periods[alarmUpdate]
	p.end()
	if interval, ok := clampInterval(o.next); ok && interval != p.interval {
		p.interval, c.told.Update = interval, interval
		c.saving.settings()
		c.log.WithFields(logrus.Fields{"timer": "update", "interval": interval}).Info("Interval set by the control plane")
	}
	p.answered(c.now)
	c.offers = offers{}
}

// busyUpgrading tells whether the Upgrader has the plugin (UP-10).
func (c *coordinator) busyUpgrading(key string) bool {
	u, ok := c.units[key]
	return ok && u.upgrading
}

// grantUpgrade lets the Upgrader touch the plugin, which nobody else does now.
func (c *coordinator) grantUpgrade() {
	offer := *c.offers.current
	c.order(&c.upgrader, func(gen uint64) any { return messages.Upgrade{Gen: gen, Offer: offer} })
}

func (c *coordinator) onUpgradeCompleted(m messages.UpgradeCompleted) {
	if !c.upgrader.answers(m.Gen) {
		return
	}
	up := m.Upgraded
	c.offers.current = nil
	if !m.TakenOver {
		c.counters.Upgrades++
		if up.Err == nil {
			c.offers.succeeded++
		} else {
			c.counters.UpgradesBad++
		}
		c.announce(plugin.NewUpdateEvent(m.At, m.Offer, up)) // UP-07
	}
	u := c.units[m.Offer.Name]
	if u == nil && up.Plugin.Name != "" && !up.Plugin.Removed { // UP-08: it was not installed before
		u = c.meet(up.Plugin)
	}
	if u != nil {
		c.upgraded(u, m)
	}
	c.nextOffer()
}

// upgraded gives the plugin back to the Coordinator's care.
func (c *coordinator) upgraded(u *unit, m messages.UpgradeCompleted) {
	up := m.Upgraded
	u.upgrading = false
	if up.Plugin.Name != "" {
		u.plugin, u.removed = up.Plugin, false
	}
	if u.removed { // and the upgrade did not bring it back
		delete(c.units, u.plugin.Key())
		return
	}
	c.measured(plugin.MeasureUpgrade, u.since)
	c.about(u).WithFields(logrus.Fields{"offer": m.Offer.Version, "takenOver": m.TakenOver, "cause": up.Cause()}).Info("Upgrade ended")
	cause := "upgraded from " + up.Previous
	switch {
	case m.TakenOver:
		cause = "update to " + m.Offer.Version + " taken over by the update handler"
	case up.Err != nil:
		cause = "upgrade to " + m.Offer.Version + " failed: " + up.Cause()
	case up.Previous == "":
		cause = "installed"
	}
	c.record(u, plugin.Entry{Kind: plugin.EntryUpgrade, Cause: cause, Output: up.Output})
	switch up.Status {
	case plugin.StatusUnknown: // not touched: as it was, and looked at
		c.move(u, u.before, cause)
		if u.plugin.Probed() {
			c.probe(u.plugin.Key(), probeDoubt)
		}
		return
	case plugin.StatusRunning:
		c.move(u, plugin.StateRunning, cause)
		u.runs, u.probation, u.restarts.Last, u.beat = m.At, true, m.At, plugin.Beat{}
		c.runs(u, m.At, up.Outcome)
		c.remembered(u, false)
		c.watchHealth(u)
	case plugin.StatusInstalled:
		c.move(u, plugin.StateInstalled, cause)
	default:
		c.mend(u, messages.KindStart, cause)
	}
	c.owe(u.plugin, up.Status, up.SysTag)
	c.report(purposeOther, nil)
}
