package actors

import (
	"fmt"
	"maps"
	"slices"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// watching holds the state of the orders to the Watcher.
type watching struct {
	enabled   bool               // exits or heartbeats are reported by event
	processes bool               // exits are reported by event
	method    plugin.WatchMethod // best method so far by which exits are detected
	plugins   []plugin.Plugin    // whose heartbeats are followed
	changed   bool               // the plugins to watch may have changed since
	adopting  bool               // running plugins are still being found …
	scanHeld  bool               // … and the first scan waits for that
	asked     []string           // keys in the last order
	reread    uint64             // number of the last list that was ordered because the plugin database had changed
	queued    []string           // keys for the next order
}

// watchPlugins orders the Watcher to follow the heartbeats of the plugins if their
// set has changed, and has their processes found.
func (c *coordinator) watchPlugins() {
	w := &c.watching
	if !w.enabled || !w.changed {
		return
	}
	w.changed = false
	var all []plugin.Plugin
	for _, key := range slices.Sorted(maps.Keys(c.plugins)) {
		if l := c.plugins[key]; l.IsWatched() {
			all = append(all, l.Plugin)
		}
	}
	if slices.EqualFunc(all, w.plugins, sameHeartbeat) {
		return
	}
	w.plugins = all
	c.runAfterSave(func(ctx actor.Context) { ctx.Send(c.workers.watcher.pid, messages.WatchHeartbeats{Plugins: all}) })
	if w.method == plugin.WatchScan { // the method is not known yet
		c.observeProcesses(w.watchedKeys())
	}
}

// watchedKeys returns the keys of the watched plugins.
func (w *watching) watchedKeys() []string {
	keys := make([]string, len(w.plugins))
	for i, p := range w.plugins {
		keys[i] = p.Key()
	}
	return keys
}

// sameHeartbeat reports whether the heartbeats of both are watched in the same way.
func sameHeartbeat(a, b plugin.Plugin) bool {
	return a.Name == b.Name && a.Version == b.Version && a.HeartbeatInterval == b.HeartbeatInterval
}

// observeProcesses has the current processes of plugins found: launchers exit, and
// workers start and exit.
func (c *coordinator) observeProcesses(keys []string) {
	if c.watching.adopting || !c.watching.processes {
		return
	}
	if c.workers.watcher.gen != 0 {
		c.watching.queued = append(c.watching.queued, keys...)
		return
	}
	var some []string
	for _, key := range keys {
		if l, known := c.plugins[key]; known && l.IsWatched() {
			some = append(some, key)
		}
	}
	if len(some) > 0 {
		c.findProcesses(some)
	}
}

// findProcesses orders the Watcher to find the processes of plugins. At the start
// the first scan waits for the answer (EV-07).
func (c *coordinator) findProcesses(keys []string) {
	c.watching.asked = keys
	targets := make([]plugin.WatchTarget, len(keys))
	for i, key := range keys {
		l := c.plugins[key]
		targets[i] = plugin.WatchTarget{Plugin: l.Plugin, Processes: l.Record.Processes, IncludeExternal: l.LacksProcesses()}
	}
	c.giveOrder(&c.workers.watcher, func(gen uint64) any { return messages.Adopt{Gen: gen, Targets: targets} })
}

// onAdopted stores the processes that were found. At the start it re-attaches to
// running plugins, and handles the exits of plugins that ran before (EV-07, EV-09).
func (c *coordinator) onAdopted(m messages.Adopted) {
	if !c.workers.watcher.isAnswer(m.Gen) {
		return
	}
	if m.Err != nil && c.watching.adopting {
		c.log.WithError(m.Err).Error("Cannot find running plugins, the next scan finds them")
	}
	running, missed := 0, 0
	for _, s := range m.Observed {
		c.watching.method = max(c.watching.method, s.Watch)
		l, ok := c.plugins[s.Name]
		switch {
		case !ok:
		case !c.watching.adopting:
			if l.IsObservable() {
				c.applyFact(l, policy.Fact{Kind: policy.ProcessesSeen, RunID: s.RunID, Processes: s.Processes})
			}
		case len(s.Processes) > 0:
			running++
			c.applyFact(l, policy.Fact{Kind: policy.Reattached, RunID: s.RunID, Processes: s.Processes})
		case len(l.Record.Processes) > 0 && s.Watch > plugin.WatchScan: // else the scan finds its exit (EV-04)
			missed++
			c.applyFact(l, policy.Fact{Kind: policy.ExitMissed, RunID: s.RunID, LockHeld: s.LockHeld})
		}
	}
	if c.watching.adopting {
		c.journal.noteHost(plugin.EntrySupervisor, "supervisor "+c.cfg.About.Version+" started",
			fmt.Sprintf("re-attached to %d running plugins, %d have exited", running, missed))
		c.log.WithFields(logrus.Fields{"plugins": running, "exited": missed, "watched": c.watching.method.String()}).Info("Re-attached to running plugins")
		c.watching.adopting = false
		c.resumeChanges()
		if c.watching.scanHeld { // now it may begin
			c.watching.scanHeld = false
			c.schedule.SetDue(policy.ScanPeriod, c.now.Wall)
		}
	}
	next := c.watching.queued
	c.watching.queued = nil
	if reached := len(m.Observed); reached > 0 { // the missing ones are next
		next = append(next, c.watching.asked[min(reached, len(c.watching.asked)):]...)
	}
	slices.Sort(next)
	c.observeProcesses(slices.Compact(next))
}

// onExit applies an exit to its plugin: of the last process (EV-01), of one while
// others are still running (EV-23), or the late cause of an earlier one (EV-10).
func (c *coordinator) onExit(e plugin.Exit) {
	l, ok := c.plugins[e.Name]
	if !ok {
		return
	}
	kind := policy.Exited
	switch {
	case e.Partial:
		kind = policy.ProcessExited
	case e.Late:
		kind = policy.ExitExplained
	}
	c.applyFact(l, policy.Fact{Kind: kind, Exit: e})
}

// onHeartbeat applies a heartbeat, or that it is overdue, to its plugin (EV-06),
// unless it is of another version.
func (c *coordinator) onHeartbeat(p plugin.HeartbeatEvent) {
	l, ok := c.plugins[p.Heartbeat.Plugin.Key()]
	if !ok || l.Plugin.Version != p.Heartbeat.Plugin.Version {
		return
	}
	f := l.HeartbeatFact(p.Heartbeat, p.Age, true, c.now)
	if p.Lost {
		f.Kind = policy.HeartbeatLate
	}
	c.applyFact(l, f)
}

// onWatchFailed records that a source of events failed or recovered.
func (c *coordinator) onWatchFailed(m messages.WatchFailed) {
	if m.Err != nil && m.What == heartbeatEvents {
		for _, l := range c.plugins {
			l.DistrustHeartbeatEvents()
		}
	}
	c.host.noteProblem(m.What, m.Err)
}
