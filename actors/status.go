package actors

import (
	"cmp"
	"slices"

	"pluginsupervisor/plugin"
)

// snapshot is everything the Coordinator knows, as status shows it.
func (c *coordinator) snapshot() plugin.Snapshot {
	s := plugin.Snapshot{
		At: c.now, Supervisor: c.cfg.About, Reports: c.delivery, Counters: c.counters,
		Plugins: make([]plugin.View, 0, len(c.units)),
		Damaged: slices.Clone(c.damaged),
	}
	all := make([]*unit, 0, len(c.units))
	for _, u := range c.units {
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b *unit) int {
		return cmp.Or(cmp.Compare(a.plugin.ID, b.plugin.ID), cmp.Compare(a.plugin.Name, b.plugin.Name))
	})
	for _, u := range all {
		v := u.view(c.ledger, c.how)
		v.Unlimited = c.cfg.Unlimited[v.Name]
		s.Plugins = append(s.Plugins, v)
	}
	for _, p := range c.problems {
		s.Problems = append(s.Problems, p)
	}
	slices.SortFunc(s.Problems, func(a, b plugin.Problem) int { return cmp.Compare(a.What, b.What) })
	for kind := range c.periods {
		p := &c.periods[kind]
		s.Timers = append(s.Timers, plugin.Timer{
			Name: periodNames[kind], Interval: p.interval, Seconds: p.interval.Seconds(),
			Due: p.due, Running: p.running, Skipped: p.skipped,
		})
		s.Counters.Skipped += uint64(p.skipped)
	}
	s.Reports.Lazy, s.Reports.LastCheck = c.lazy, c.lastCheck
	s.Reports.Owed, s.Reports.OwedSince = len(c.ledger.owed), c.ledger.oldest()
	s.Reports.Events = len(c.outbox.events)
	return s
}
