package actors

import (
	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// healthWatches holds the runs of plugins whose health is checked (AP-05), by
// plugin.Key.
type healthWatches map[string]healthWatch

type healthWatch struct {
	gen      uint64 // number of the order to the Watcher
	version  string
	degraded bool
}

// update returns the order to the Watcher that a fact about a plugin requires, if
// any: health is checked while the plugin runs. Of a plugin that became degraded the
// next check that passes is reported.
func (w healthWatches) update(l *policy.Lifecycle, seq uint64) (order messages.WatchHealth, required bool) {
	key := l.Plugin.Key()
	before, watched := w[key]
	if !l.IsHealthChecked() {
		delete(w, key)
		return messages.WatchHealth{Plugin: l.Plugin}, watched
	}
	now := healthWatch{before.gen, l.Plugin.Version, l.Phase() == policy.Degraded}
	if !watched || before.version != now.version {
		now.gen = seq
	}
	w[key] = now
	return messages.WatchHealth{Plugin: l.Plugin, Gen: now.gen}, now.gen != before.gen || now.degraded && !before.degraded
}

// fact returns the plugin that an event is about, with the fact; nil if the event is
// of an earlier run.
func (w healthWatches) fact(e plugin.HealthEvent, plugins map[string]*policy.Lifecycle) (*policy.Lifecycle, policy.Fact) {
	key := e.Plugin.Key()
	l, known := plugins[key]
	if !known || w[key].gen != e.Gen {
		return nil, policy.Fact{}
	}
	if e.Failed {
		return l, policy.Fact{Kind: policy.HealthFailed, Cause: e.Cause}
	}
	return l, policy.Fact{Kind: policy.HealthPassed}
}
