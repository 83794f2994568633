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

// watching holds what the Watcher was ordered to watch.
type watching struct {
	enabled   bool               // exits or heartbeats are reported by event
	processes bool               // exits are
	method    plugin.WatchMethod // how exits are noticed at best
	plugins   []plugin.Plugin    // whose heartbeats are followed
	changed   bool               // what is installed may have changed since
	adopting  bool               // what runs already is still looked up …
	scanHeld  bool               // … and the first scan waits for that
	asked     []string           // keys that the Watcher was asked about last
	reread    uint64             // number of the last list that was ordered because the plugin database had changed
	queued    []string           // and those that it will be asked about next
}

// watchPlugins has everything that is new watched: its processes once, and its
// heartbeat whenever the set changes.
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
	if w.method == plugin.WatchScan { // there was nothing yet by which to know better
		c.observeProcesses(w.watchedKeys())
	}
}

// watchedKeys returns the plugins that are watched.
func (w *watching) watchedKeys() []string {
	keys := make([]string, len(w.plugins))
	for i, p := range w.plugins {
		keys[i] = p.Key()
	}
	return keys
}

// sameHeartbeat reports whether the heartbeats of both are watched in the same
// way.
func sameHeartbeat(a, b plugin.Plugin) bool {
	return a.Name == b.Name && a.Version == b.Version && a.HeartbeatInterval == b.HeartbeatInterval
}

// observeProcesses asks what plugins run as now: launchers exit, workers come
// and go.
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

// findProcesses has the Watcher find what runs of the plugins. At the start
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

// onAdopted takes over what runs, and treats what has exited meanwhile as an
// exit (EV-07, EV-09).
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
			c.applyFact(l, policy.Fact{Kind: policy.Adopted, RunID: s.RunID, Processes: s.Processes})
		case len(l.Record.Processes) > 0 && s.Watch > plugin.WatchScan: // else its exit is the scan's to find (EV-04)
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
	if reached := len(m.Observed); reached > 0 { // it goes on where it stopped
		next = append(next, c.watching.asked[min(reached, len(c.watching.asked)):]...)
	}
	slices.Sort(next)
	c.observeProcesses(slices.Compact(next))
}

// onExit hands an exit to its plugin's lifecycle: of the last process (EV-01),
// how that ended (EV-10), or of one while others live on (EV-23).
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

// onHeartbeat hands a beat, or that it is overdue, to the plugin's lifecycle
// (EV-06), unless it is of another version.
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

func (c *coordinator) onWatchFailed(m messages.WatchFailed) {
	if m.Err != nil && m.What == heartbeatEvents {
		for _, l := range c.plugins {
			l.DistrustHeartbeatEvents()
		}
	}
	c.host.noteProblem(m.What, m.Err)
}
