package actors

import (
	"errors"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// offers is the queue of what the Upgrader is to do: what an update check
// was answered, what operators ordered, what an earlier life left unfinished.
type offers struct {
	waiting []plugin.Change
	current *plugin.Change // the Upgrader works on it, or will as soon as its plugin is free
	due     bool           // an update check came due meanwhile, it follows

	checking  bool // the rest is about the answer of an update check, not all done
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
	if c.upgrader.gen != 0 || c.offers.current != nil {
		c.offers.due = true
		return
	}
	c.checkUpdates()
}

func (c *coordinator) checkUpdates() {
	c.offers.due = false
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
	} else {
		o := &c.offers
		o.waiting = append(o.waiting, m.Updates.Changes...)
		o.checking, o.offered, o.succeeded, o.next = true, len(m.Updates.Changes), 0, m.Updates.NextInterval
	}
	c.nextOffer()
}

// resume has the Upgrader bring to its end what an earlier life left
// unfinished, before anything else is done about those plugins.
func (c *coordinator) resume() {
	c.offers.waiting = append(c.offers.waiting, c.cfg.Unfinished...)
	c.cfg.Unfinished = nil
	c.nextOffer()
}

// onChangePlugin queues what an operator ordered.
func (c *coordinator) onChangePlugin(o plugin.Change) any {
	u := c.units[o.Name]
	same := func(other plugin.Change) bool { return other.Name == o.Name }
	switch {
	case u == nil && (o.Kind == plugin.ChangeRemove || o.Kind == plugin.ChangeRollback):
		return messages.Rejected{Why: o.Name, Unknown: true}
	case u != nil && u.upgrading || slices.ContainsFunc(c.offers.waiting, same):
		return messages.Rejected{Why: o.Name + " is being upgraded"}
	case u != nil && u.restarts.Stopped && o.Kind != plugin.ChangeRemove: // EV-14: an upgrade would start it
		return messages.Rejected{Why: o.Name + " was " + u.restarts.Cause + ", start it first"}
	}
	o.Origin = plugin.FromOperator
	ordered := plugin.Entry{Kind: plugin.EntryOperator, Cause: o.String() + ", ordered by an operator"}
	if u != nil {
		c.record(u, ordered)
	} else {
		c.recordUnknown(o.Name, o.Version, ordered)
	}
	c.offers.waiting = append(c.offers.waiting, o)
	c.nextOffer()
	return messages.Accepted{What: o.String()}
}

// nextOffer takes the offers one after the other; after the last of an update
// check the timer is set anew (UP-09).
func (c *coordinator) nextOffer() {
	o := &c.offers
	if o.current != nil || c.upgrader.gen != 0 { // it has something to do: this is called again at its end
		return
	}
	for len(o.waiting) > 0 {
		offer := o.waiting[0]
		o.waiting = o.waiting[1:]
		u := c.units[offer.Name]
		if u != nil && u.restarts.Stopped && offer.Starts() { // EV-14: an upgrade would start it
			if offer.Kind != plugin.ChangeResume {
				c.announce(plugin.NewUpdateEvent(c.now, offer, plugin.FailedChange(errOperatorStopped)))
			}
			if offer.ByOperator() { // who ordered it may wait for it
				c.record(u, plugin.Entry{Kind: plugin.EntryUpgrade, Cause: offer.String() + " is left out: " + errOperatorStopped.Error(), Failed: true})
			}
			c.about(u).WithField("offer", offer.Version).Warn("Upgrade left out, an operator stopped the plugin")
			continue
		}
		o.current = &offer
		if u != nil {
			u.upgrading, u.before, u.again = true, u.state, ""
			c.move(u, plugin.StateUpgrading, offer.String())
			if u.attempt != nil { // RS-09
				c.cancel(u)
				return
			}
		}
		c.grantUpgrade()
		return
	}
	c.offersDone()
	if o.due {
		c.checkUpdates()
	}
}

// offersDone ends an update check when all it offered has been dealt with.
func (c *coordinator) offersDone() {
	o := &c.offers
	if !o.checking {
		return
	}
	o.checking = false
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
			if up.Verified.Weak() {
				c.counters.Weak++
			}
		} else {
			c.counters.UpgradesBad++
		}
		if m.Offer.Kind != plugin.ChangeRemove {
			c.announce(plugin.NewUpdateEvent(m.At, m.Offer, up)) // UP-07
		}
	}
	u := c.units[m.Offer.Name]
	if u == nil && up.Plugin.Name != "" && !up.Plugin.Removed { // UP-08: it was not installed before
		u = c.meet(up.Plugin)
	}
	switch {
	case u != nil:
		c.upgraded(u, m)
	case up.Err != nil: // it was not installed, and still is not
		cause := "installation of " + m.Offer.Version + " failed: " + up.Cause()
		c.recordUnknown(m.Offer.Name, m.Offer.Version, plugin.Entry{Kind: plugin.EntryUpgrade, Cause: cause, Failed: true, Output: up.Output})
		c.log.WithError(up.Err).WithFields(logrus.Fields{"plugin": m.Offer.Name, "offer": m.Offer.Version}).Warn("Installation failed")
	}
	c.nextOffer()
}

// upgraded gives the plugin back to the Coordinator's care.
func (c *coordinator) upgraded(u *unit, m messages.UpgradeCompleted) {
	up := m.Upgraded
	u.upgrading = false
	if up.Plugin.Name != "" {
		u.plugin, u.removed, c.regroup = up.Plugin, false, true
	}
	if u.removed { // and the upgrade did not bring it back
		delete(c.units, u.plugin.Key())
		return
	}
	c.measured(plugin.MeasureUpgrade, u.since)
	c.about(u).WithFields(logrus.Fields{"offer": m.Offer.Version, "takenOver": m.TakenOver, "cause": up.Cause()}).Info("Upgrade ended")
	cause := up.Summary()
	switch {
	case up.Err == nil && m.Offer.Kind == plugin.ChangeRemove:
		cause = "removed by an operator"
	case m.Offer.Kind == plugin.ChangeRemove:
		cause = "removal failed: " + up.Cause()
	case m.TakenOver:
		cause = "update to " + m.Offer.Version + " taken over by the update handler"
	case up.RolledBack:
		cause = "upgrade to " + m.Offer.Version + " " + up.Cause()
	case up.Err != nil:
		cause = "upgrade to " + m.Offer.Version + " failed: " + up.Cause()
	}
	c.record(u, plugin.Entry{Kind: plugin.EntryUpgrade, Cause: cause, Failed: up.Err != nil, Output: up.Output})
	if up.Err == nil && m.Offer.Kind == plugin.ChangeRemove {
		c.removed(u, up)
		return
	}
	switch up.Status {
	case plugin.StatusUnknown: // not touched: as it was, and looked at
		c.move(u, u.before, cause)
		if u.plugin.Probed() {
			c.probe(u.plugin.Key(), probeDoubt)
		}
		return
	case plugin.StatusRunning:
		c.move(u, plugin.StateRunning, cause)
		u.runs, u.probation, u.restarts.Last.Wall, u.beat = m.At, true, m.At, plugin.Beat{}
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

// removed takes leave of a plugin that an operator had removed (CL-10).
func (c *coordinator) removed(u *unit, up plugin.Changed) {
	c.owe(u.plugin, plugin.StatusRemoved, up.SysTag)
	c.lose(u)
	c.report(purposeOther, nil)
}
