package actors

import (
	"cmp"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// publishMove adds a change of state to the journal and the log, and publishes it.
func (c *coordinator) publishMove(l *policy.Lifecycle, m policy.Moved) {
	c.journal.notePlugin(l, plugin.Entry{Kind: plugin.EntryState, From: m.From, To: m.To, Cause: m.Cause})
	changed := messages.StateChanged{At: c.now.Wall, Key: l.Plugin.Key(), Version: l.Plugin.Version, From: m.From, To: m.To, Cause: m.Cause}
	c.runAfterSave(func(ctx actor.Context) {
		changed.Next, changed.NextAt = l.NextStep()
		entry := c.log.WithFields(logrus.Fields{
			"plugin": changed.Key, "version": changed.Version, "from": m.From.String(), "to": m.To.String(), "cause": m.Cause, "next": changed.Next,
		})
		if m.To == plugin.StateCrashLoop || m.To == plugin.StateDegraded {
			entry.Warn("Plugin changed state")
		} else {
			entry.Info("Plugin changed state")
		}
		ctx.ActorSystem().EventStream.Publish(changed)
	})
}

// noteChange adds an entry about a change to the journal, also of a plugin that is
// not installed.
func (c *coordinator) noteChange(change plugin.Change, e plugin.Entry) {
	if l, ok := c.plugins[change.Name]; ok {
		c.journal.notePlugin(l, e)
		return
	}
	c.journal.noteAbsent(change.Name, change.Version, e)
}

// snapshot returns the state of the supervisor, as status shows it.
func (c *coordinator) snapshot() plugin.Snapshot {
	s := plugin.Snapshot{
		At: c.now.Wall, Supervisor: c.cfg.About, Reports: c.host.delivery, Counters: c.host.counters,
		Plugins: make([]plugin.View, 0, len(c.plugins)),
		Damaged: slices.Clone(c.host.damaged),
		Timers:  c.schedule.Timers(),
		Blocked: c.blocked.List(),
	}
	all := make([]*policy.Lifecycle, 0, len(c.plugins))
	for _, l := range c.plugins {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *policy.Lifecycle) int {
		return cmp.Or(cmp.Compare(a.Plugin.ID, b.Plugin.ID), cmp.Compare(a.Plugin.Name, b.Plugin.Name))
	})
	for _, l := range all {
		v := l.View(c.watching.method)
		acked, pending := c.reports.LastAcked(l.Plugin.Key())
		v.Acked, v.Pending, v.UnenforcedLimits = acked.Status, pending, c.cfg.UnenforcedLimits[v.Name]
		if change, phase, since, ok := c.changes.FindByPlugin(v.Name); ok && !v.Duplicate {
			v.Change = &plugin.ChangeProgress{What: change.String(), Phase: phase.String(), Since: since}
		}
		s.Plugins = append(s.Plugins, v)
	}
	for _, p := range c.host.problems {
		s.Problems = append(s.Problems, p)
	}
	s.Problems = append(s.Problems, c.workers.findHung(c.scans, c.now)...)
	slices.SortFunc(s.Problems, func(a, b plugin.Problem) int { return cmp.Compare(a.What, b.What) })
	for _, t := range s.Timers {
		s.Counters.TimersSkipped += uint64(t.Skipped)
	}
	s.Reports.Lazy, s.Reports.LastCheck = c.lazy, c.schedule.LastCheck()
	s.Reports.Pending, s.Reports.PendingSince = c.reports.Count(), c.reports.OldestPending()
	s.Reports.Events = c.events.Count()
	s.Reports.LastError = cmp.Or(s.Reports.LastError, c.host.event)
	return s
}

// workerTimeout is the time after which an unanswered order is a problem.
const workerTimeout = 2 * time.Minute

// findHung returns a problem for each worker that has not answered for
// workerTimeout, because a file system hangs for example (EV-24). A scan has
// answered when only hung probes are left.
func (w *workers) findHung(all scans, now plugin.Moment) (problems []plugin.Problem) {
	add := func(what string, since plugin.Moment) {
		if now.Sub(since) > workerTimeout {
			problems = append(problems, plugin.Problem{
				What: what, Since: since.Wall,
				Why: "no answer: a file system, the plugin database or the control plane may hang",
			})
		}
	}
	for what, one := range map[string]*worker{
		"pull": &w.puller, "inventory": &w.inventory, "search for running plugins": &w.watcher, "update check": &w.upgrader,
	} {
		if one.gen != 0 {
			add(what, one.since)
		}
	}
	for _, scan := range all.open {
		if scan.period && !scan.finished {
			add("scan", scan.since)
		}
	}
	return problems
}
