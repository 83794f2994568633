package actors

import (
	"maps"
	"slices"
	"time"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// scans holds the orders that the Scanner has not answered, and the checks of single
// plugins between the scans, at most one a plugin.
type scans struct {
	open   map[uint64]*openScan
	wanted map[string]bool        // plugins to check next; true: to be reported again (SC-25)
	checks map[string]singleCheck // checks that the Scanner works on
}

type openScan struct {
	period    bool     // the periodic scan
	only      []string // else the plugins that are checked
	listTaken bool     // its list was handled
	reported  bool     // its Once plugins are pending
	finished  bool     // all but hung probes have answered (TM-01)
	since     plugin.Moment
}

type singleCheck struct {
	gen     uint64
	refresh bool
	again   bool // requested again meanwhile
}

func newScans() scans {
	return scans{open: map[uint64]*openScan{}, wanted: map[string]bool{}, checks: map[string]singleCheck{}}
}

// requestCheck requests `--status` of one plugin.
func (s *scans) requestCheck(key string, refresh bool) {
	if k, ok := s.checks[key]; ok {
		k.again, k.refresh = true, k.refresh || refresh
		s.checks[key] = k
		return
	}
	s.wanted[key] = s.wanted[key] || refresh
}

// endCheck completes the check of one plugin by order gen, and reports whether its
// status is to be reported again. A check that was requested meanwhile is next.
func (s *scans) endCheck(key string, gen uint64) (refresh bool) {
	k, ok := s.checks[key]
	if !ok || k.gen != gen {
		return false
	}
	delete(s.checks, key)
	if k.again {
		s.wanted[key] = k.refresh
	}
	return k.refresh
}

// closeOrder removes an order, with the checks that it has not answered.
func (s *scans) closeOrder(gen uint64) {
	delete(s.open, gen)
	for key, k := range s.checks {
		if k.gen == gen {
			s.endCheck(key, gen)
		}
	}
}

// gatherChecks is the time after an order in which checks are gathered, so that many
// of them are one order: each order reads the whole plugin database.
const gatherChecks = 200 * time.Millisecond

// orderChecks orders the requested checks of single plugins.
func (c *coordinator) orderChecks() {
	s := &c.scans
	if len(s.wanted) == 0 || c.timers.isArmed(timerKey{kind: timerChecks}) {
		return
	}
	for key := range s.wanted {
		if _, known := c.plugins[key]; !known {
			delete(s.wanted, key)
		}
	}
	if len(s.wanted) == 0 {
		return
	}
	c.timers.arm(timerKey{kind: timerChecks}, gatherChecks)
	only := slices.Sorted(maps.Keys(s.wanted))
	gen := c.orderScan(only)
	for _, key := range only {
		s.checks[key] = singleCheck{gen: gen, refresh: s.wanted[key]}
	}
	clear(s.wanted)
}

// pluginDatabase names the problem in status while the plugin database cannot be
// read.
const pluginDatabase = "plugin database"

// orderScan orders a scan of all plugins, or of only those.
func (c *coordinator) orderScan(only []string) (gen uint64) {
	c.seq++
	c.scans.open[c.seq] = &openScan{period: only == nil, only: only, since: c.now}
	c.sendAfterSave(c.workers.scanner.pid, messages.Scan{Gen: c.seq, Only: only})
	return c.seq
}

// onScanDue orders or postpones a scan.
func (c *coordinator) onScanDue(m messages.ScanDue) {
	if !c.timers.takeFired(timerKey{kind: timerScan}, m.Gen) {
		return
	}
	if c.watching.adopting { // running plugins are found first (EV-07)
		c.watching.scanHeld = true
		c.schedule.Postpone(policy.ScanPeriod, c.now.Wall.Add(2*adoptTimeout))
		return
	}
	if !c.schedule.Fire(policy.ScanPeriod, c.now.Wall) {
		c.log.WithField("skipped", c.schedule.SkippedCount(policy.ScanPeriod)).Warn("Scan skipped, the previous one is still running")
		return
	}
	c.schedule.Begin(policy.ScanPeriod, c.now.Wall) // SC-01
	c.host.counters.Scans++
	c.batch.SetSettings()
	c.orderScan(nil)
}

// onScanProgressed handles the results of a scan so far.
func (c *coordinator) onScanProgressed(m messages.ScanProgressed) {
	s, ok := c.scans.open[m.Gen]
	if !ok {
		return
	}
	c.handleProbes(s, m.Gen, m.List, m.Probes)
	if m.Slow {
		c.endScan(s)
	}
}

// onScanCompleted handles the remaining results of a scan.
func (c *coordinator) onScanCompleted(m messages.ScanCompleted) {
	s, ok := c.scans.open[m.Gen]
	if !ok {
		return
	}
	defer c.scans.closeOrder(m.Gen)
	c.endScan(s)
	if s.period && m.Err != nil {
		c.host.counters.ScanErrors++
	}
	if !m.Listed {
		c.handleList(false, m.List, m.Gen, m.Err)
		return
	}
	if s.period {
		if m.Err != nil {
			c.host.addProblem("status output", m.Err) // SC-11: the results count
		} else {
			c.host.solveProblem("status output")
		}
	}
	c.handleProbes(s, m.Gen, m.List, m.Probes)
	if s.period {
		c.observeProcesses(c.watching.watchedKeys())
	} else {
		c.observeProcesses(s.only)
	}
}

// endScan completes the periodic scan, once: all but hung probes have answered.
func (c *coordinator) endScan(s *openScan) {
	if s.period && !s.finished {
		s.finished = true
		c.schedule.End(policy.ScanPeriod)
		c.host.observeSpan(plugin.MeasureScan, c.schedule.LastCheck())
	}
}

// handleProbes handles the results of `--status`: Once plugins and running ones are
// reported, dead ones restarted (SC-05, SC-13, SC-14). A result that is older than
// the known state of its plugin is dropped (EV-26).
func (c *coordinator) handleProbes(s *openScan, gen uint64, list plugin.List, probes []plugin.Probe) {
	if !s.listTaken { // the list is the same in each message of an order
		s.listTaken = true
		c.handleList(true, list, gen, nil)
	}
	if s.period && !s.reported {
		s.reported = true
		c.reportInstalled(list, gen)
	}
	for _, probe := range probes {
		c.host.counters.Probes++
		key := probe.Plugin.Key()
		refresh := c.scans.endCheck(key, gen)
		if probe.HostFault {
			c.host.faults.add(key, "--status: "+probe.Cause, hostFault{refresh: refresh})
			continue
		}
		refresh = c.host.faults.solveProbe(key) || refresh
		l, ok := c.plugins[key]
		if !ok {
			continue
		}
		if l.IsStaleProbe(gen, probe.Plugin.Version) {
			if l.IsUnconfirmed() { // its check waited for this result
				c.scans.requestCheck(key, refresh)
			}
			continue
		}
		switch probe.Status {
		case plugin.StatusRunning:
			c.applyFact(l, policy.Fact{Kind: policy.SeenRunning, Scan: s.period, Refresh: refresh})
		case plugin.StatusFailed:
			c.applyFact(l, policy.Fact{Kind: policy.SeenDead, Scan: s.period, Cause: "--status: " + probe.Cause, LockHeld: probe.LockHeld})
		}
	}
	// Rejected statuses are sent again with this report (SC-20).
	if s.period && (c.reports.IsRequested() || c.reports.Count() > 0 && !c.reports.IsAwaiting()) {
		c.reports.RequestReport(policy.ForScan, nil)
	}
}

// reportInstalled makes the Once plugins pending (SC-05).
func (c *coordinator) reportInstalled(list plugin.List, gen uint64) {
	for _, p := range list.Plugins {
		l, ok := c.plugins[p.Key()]
		if p.Type != plugin.Once || p.Removed || !ok || l.IsStaleRecord(gen) {
			continue
		}
		if _, changing := l.CurrentChange(); !changing { // UP-10
			c.reports.Add(c.now.Wall, p, plugin.StatusInstalled, plugin.SysTagNone)
			c.reports.RequestReport(policy.ForChange, nil)
		}
	}
}

// absentPlugins holds the records and removals of plugins that are not known to be
// installed.
type absentPlugins struct {
	records   map[string]plugin.RestartRecord // saved by an earlier process, until the first list
	removedAt map[string]uint64               // by key: number of the fact that removed a plugin (EV-26)
}

func newAbsentPlugins(records map[string]plugin.RestartRecord) absentPlugins {
	return absentPlugins{records: maps.Clone(records), removedAt: map[string]uint64{}}
}

func (a *absentPlugins) markRemoved(key string, seq uint64) { a.removedAt[key] = seq }

// pruneRemovals deletes removals that are older than the oldest order that is not
// answered: no list can contradict them.
func (a *absentPlugins) pruneRemovals(oldest uint64) {
	maps.DeleteFunc(a.removedAt, func(_ string, at uint64) bool { return at < oldest })
}

// takeRecord removes and returns the record of a plugin that is installed now.
func (a *absentPlugins) takeRecord(key string) plugin.RestartRecord {
	r := a.records[key]
	delete(a.records, key)
	delete(a.removedAt, key)
	return r
}

// handleList updates the plugins by a list, or records that the database could not
// be read (SC-02), which is retried soon. It reports whether there was a list.
func (c *coordinator) handleList(listed bool, list plugin.List, gen uint64, err error) bool {
	if !listed {
		c.host.addProblem(pluginDatabase, err)
		c.host.faults.armRecheck()
		return false
	}
	c.host.solveProblem(pluginDatabase)
	c.updateInstalled(list, gen)
	return true
}

// updateInstalled updates the plugins by the list of order gen: new plugins, new
// versions, and those that are gone. It skips a plugin of which something newer is
// known (EV-26).
func (c *coordinator) updateInstalled(list plugin.List, gen uint64) {
	c.host.noteDamage(list.Damaged)
	present := make(map[string]bool, len(list.Plugins))
	for _, p := range list.Plugins {
		if p.Removed {
			continue
		}
		key := p.Key()
		present[key] = true
		l, known := c.plugins[key]
		switch {
		case !known && c.absent.removedAt[key] > gen:
		case !known:
			c.plugins[key] = policy.NewLifecycle(p, c.absent.takeRecord(key), gen, c.now.Wall)
			c.watching.changed = true
		case !l.IsStaleRecord(gen) && (l.Plugin != p || l.State() == plugin.StateRemoved):
			c.applyFact(l, policy.Fact{Kind: policy.Recorded, Plugin: p, Gen: gen})
		}
	}
	for key, l := range c.plugins {
		if !present[key] && !l.IsStaleRecord(gen) {
			c.applyFact(l, policy.Fact{Kind: policy.RecordGone})
		}
	}
	c.reports.ForgetRemoved(func(key string) bool { return present[key] || c.plugins[key] != nil })
	if len(list.Damaged) == 0 { // else an absent plugin may have a damaged record
		for key := range c.absent.records {
			delete(c.absent.records, key)
			c.batch.SetRestarts(key, nil, false)
		}
	}
	oldest := min(c.workers.puller.oldestOrder(c.seq), c.workers.inventory.oldestOrder(c.seq))
	for gen := range c.scans.open {
		oldest = min(oldest, gen)
	}
	c.absent.pruneRemovals(oldest)
}
