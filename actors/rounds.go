package actors

import (
	"maps"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// probeReason says why a single plugin is probed between the scans.
type probeReason uint8

const (
	probeDoubt   probeReason = 1 << iota // its heartbeat is overdue, or it had time to prove healthy
	probeRefresh                         // its status is to be reported again (SC-25)
)

func (c *coordinator) onScanDue(m messages.ScanDue) {
	if !c.alarms.rings(alarmKey{kind: alarmScan}, m.Gen) {
		return
	}
	p := &c.periods[alarmScan]
	if c.taking { // first what runs already (EV-07)
		c.scanHeld = true
		p.postpone(c.now.Add(2 * adoptWithin))
		return
	}
	if !p.fire(c.now) {
		c.log.WithField("skipped", p.skipped).Warn("Scan skipped, the last one still runs")
		return
	}
	p.begin(c.now)
	c.counters.Scans++
	c.lastCheck = c.now // SC-01
	c.saving.settings()
	c.listed, c.owing = false, false
	c.order(&c.scanner, func(gen uint64) any { return messages.Scan{Gen: gen} })
}

func (c *coordinator) onScanProgressed(m messages.ScanProgressed) {
	switch m.Gen {
	case c.scanner.gen:
		c.learn(m.List)
		c.scanned(m.List, m.Probes)
		c.reportScan()
	case c.prober.gen:
		c.learn(m.List)
		c.probed(m.Probes)
	}
}

func (c *coordinator) onScanCompleted(m messages.ScanCompleted) {
	switch {
	case c.scanner.answers(m.Gen):
		c.periods[alarmScan].end()
		c.measured(plugin.MeasureScan, c.lastCheck)
		if !c.heard(m.Listed, m.List, m.Err) {
			c.counters.ScanErrors++
			return
		}
		if m.Err != nil {
			c.counters.ScanErrors++
			c.problem("status output", m.Err) // SC-11: the others count all the same
		} else {
			c.solved("status output")
		}
		c.scanned(m.List, m.Probes)
		c.reportScan()
		c.lookAgain(func(string) bool { return true })
	case c.prober.answers(m.Gen):
		if c.heard(m.Listed, m.List, m.Err) {
			c.probed(m.Probes)
			c.lookAgain(func(key string) bool { return c.asked[key] != 0 })
		}
		c.asked = nil
	}
}

// heard takes note of a list of plugins, or of the database's failure (SC-02).
func (c *coordinator) heard(listed bool, list plugin.List, err error) bool {
	if !listed {
		c.problem("plugin database", err)
		return false
	}
	c.solved("plugin database")
	c.learn(list)
	return true
}

// scanned handles what a scan found: Once plugins and running ones are
// reported, dead ones restarted (SC-05, SC-13, SC-14).
func (c *coordinator) scanned(list plugin.List, probes []plugin.Probe) {
	if !c.listed {
		c.listed = true
		for _, p := range list.Plugins {
			if p.Type == plugin.Once && !p.Removed && !c.busyUpgrading(p.Key()) {
				c.owe(p, plugin.StatusInstalled, plugin.SysTagNone)
				c.owing = true
			}
		}
	}
	for _, probe := range probes {
		c.counters.Probes++
		u, ok := c.units[probe.Plugin.Key()]
		if !ok || u.upgrading || probe.Status == plugin.StatusRemoved { // UP-10, SC-12
			continue
		}
		switch {
		case probe.Status == plugin.StatusRunning:
			if c.sawRunning(u) {
				c.owe(u.plugin, plugin.StatusRunning, plugin.SysTagNone)
				c.owing = true
			}
		case u.restarts.Stopped && u.attempt == nil: // EV-14: wanted, and told truthfully
			c.move(u, plugin.StateStopped, u.restarts.Cause)
			c.owe(u.plugin, plugin.StatusFailed, plugin.SysTagNone)
			c.owing = true
		default:
			c.sawDead(u, "--status: "+probe.Cause)
		}
	}
}

// reportScan sends what the scan found; also what is still owed and was not
// to be tried again before the next report (SC-20).
func (c *coordinator) reportScan() {
	if c.owing || (len(c.ledger.owed) > 0 && !c.ledger.awaiting()) {
		c.report(purposeScan, nil)
	}
	c.owing = false
}

func (c *coordinator) onPullDue(m messages.PullDue) {
	if !c.alarms.rings(alarmKey{kind: alarmPull}, m.Gen) {
		return
	}
	p := &c.periods[alarmPull]
	d := decidePull(c.now, c.lastCheck, c.periods[alarmScan].due, c.cfg.AvoidWindow)
	if !p.running && !d.again.IsZero() {
		p.postpone(d.again)
		c.log.WithFields(logrus.Fields{"cause": d.reason, "until": d.again}).Debug("Pull postponed")
		return
	}
	if !p.fire(c.now) {
		c.log.WithField("skipped", p.skipped).Warn("Pull skipped, the last one still runs")
		return
	}
	if !d.pull {
		c.log.WithField("cause", d.reason).Debug("Pull left out")
		return
	}
	p.begin(c.now)
	c.counters.Pulls++
	c.order(&c.puller, func(gen uint64) any { return messages.Pull{Gen: gen} })
}

func (c *coordinator) onPullCompleted(m messages.PullCompleted) {
	if !c.puller.answers(m.Gen) {
		return
	}
	c.periods[alarmPull].end()
	if !c.heard(m.Err == nil, m.List, m.Err) {
		return
	}
	var entries []pullEntry
	for _, b := range m.Beats {
		u, ok := c.units[b.Plugin.Key()]
		if !ok || u.upgrading || u.plugin.Version != b.Plugin.Version {
			continue
		}
		c.sawBeat(u, b, m.At)
		if b.Found && b.Err == nil {
			entry := pullEntry{u.plugin, b.Status(m.At)}
			switch {
			case u.state == plugin.StateStopped: // its last beat may be young (EV-14)
				entry.status = plugin.StatusFailed
			case u.vouched: // the clock may have been set
				entry.status = plugin.StatusRunning
			}
			entries = append(entries, entry)
		}
	}
	if len(entries) == 0 { // PL-11
		return
	}
	if c.lazy && !c.ledger.pullIsNews(entries) { // PL-13
		c.counters.Suppressed++
		return
	}
	keys := make([]string, 0, len(entries))
	for _, e := range entries {
		keys = append(keys, e.plugin.Key())
		c.owe(e.plugin, e.status, plugin.SysTagNone)
	}
	slices.Sort(keys)
	c.report(purposePull, keys)
}

// sawBeat takes note of a heartbeat. One that is overdue raises doubt, which
// `--status` settles at once (PL-17).
func (c *coordinator) sawBeat(u *unit, b plugin.Beat, now time.Time) {
	if b.Err != nil && (u.beat.Err == nil || u.beat.Err.Error() != b.Err.Error()) {
		c.about(u).WithError(b.Err).Warn("Heartbeat says nothing")
	}
	u.beat = b
	if !b.Found || b.Err != nil {
		return
	}
	if !u.overdue(now) {
		if u.state == plugin.StateDegraded {
			c.move(u, plugin.StateRunning, "beats again")
		}
		c.prove(u)
		return
	}
	if u.state == plugin.StateRunning {
		c.move(u, plugin.StateDegraded, "no heartbeat for "+b.Silent(now).String())
	}
	c.probe(u.plugin.Key(), probeDoubt)
}

// probe has a single plugin's `--status` asked, as soon as the prober is free.
func (c *coordinator) probe(key string, why probeReason) { c.asking[key] |= why }

func (c *coordinator) askProber() {
	if c.prober.gen != 0 || len(c.asking) == 0 {
		return
	}
	c.asked, c.asking = c.asking, map[string]probeReason{}
	only := slices.Sorted(maps.Keys(c.asked))
	c.order(&c.prober, func(gen uint64) any { return messages.Scan{Gen: gen, Only: only} })
}

// probed handles what single plugins said between the scans.
func (c *coordinator) probed(probes []plugin.Probe) {
	for _, probe := range probes {
		c.counters.Probes++
		key := probe.Plugin.Key()
		u, ok := c.units[key]
		if !ok || u.upgrading || probe.Status == plugin.StatusRemoved {
			continue
		}
		if probe.Status != plugin.StatusRunning {
			c.sawDead(u, "--status: "+probe.Cause)
			continue
		}
		if !c.sawRunning(u) {
			continue
		}
		if u.hangs(c.now) && c.cfg.Restart.OnHang {
			c.mend(u, messages.KindRestart, "hangs: no heartbeat for "+u.beat.Silent(c.now).String())
			continue
		}
		if c.asked[key]&probeRefresh != 0 {
			c.owe(u.plugin, plugin.StatusRunning, plugin.SysTagNone)
			c.report(purposeOther, nil)
		}
	}
}

func (c *coordinator) onRefreshDue(m messages.RefreshDue) {
	if c.alarms.rings(alarmKey{alarmRefresh, m.Key}, m.Gen) {
		c.probe(m.Key, probeRefresh)
	}
}

func (c *coordinator) onHealthyDue(m messages.HealthyDue) {
	if c.alarms.rings(alarmKey{alarmHealthy, m.Key}, m.Gen) {
		c.probe(m.Key, probeDoubt)
	}
}

func (c *coordinator) onInventoryDue(m messages.InventoryDue) {
	if !c.alarms.rings(alarmKey{kind: alarmInventory}, m.Gen) {
		return
	}
	p := &c.periods[alarmInventory]
	if !p.fire(c.now) {
		return
	}
	p.begin(c.now)
	c.inventing = true
	if c.inventory.gen == 0 { // else the look at the start is still under way, and will do
		c.order(&c.inventory, func(gen uint64) any { return messages.CollectInventory{Gen: gen} })
	}
}

func (c *coordinator) onInventoryCollected(m messages.InventoryCollected) {
	if !c.inventory.answers(m.Gen) {
		return
	}
	c.periods[alarmInventory].end()
	due := c.inventing
	c.inventing = false
	heard := c.heard(m.Err == nil, m.List, m.Err)
	if c.taking && c.watcher.gen == 0 { // the look at the start
		c.takeUp()
		c.takeOver()
	}
	if !heard || !due {
		return
	}
	installed := slices.DeleteFunc(slices.Clone(m.List.Plugins), func(p plugin.Plugin) bool { return p.Removed }) // LR-01
	if len(installed) == 0 {                                                                                      // LR-03
		return
	}
	event, err := plugin.NewLocalListEvent(m.At, installed, c.cfg.LocalArch, c.cfg.LocalOS)
	if err != nil {
		c.log.WithError(err).Error("Inventory not reported")
		return
	}
	c.announce(event)
}
