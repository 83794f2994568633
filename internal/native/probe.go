package native

import (
	"context"
	"time"

	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// Probe asks `--status` of every given plugin, at most Options.Parallel at
// once, each with its own deadline, and hands over each result as soon as it
// is there, one at a time (SC-08, SC-09). When it returns no process of it is
// left, but for one that nobody can end. The error tells that ctx ended, or the Runner was drained, before all
// had answered: what was cut short is not handed over. One that the host could
// not ask is, with its status unknown (EV-24).
func (m *Manager) Probe(ctx context.Context, ps []plugin.Plugin, each func(plugin.Probe)) error {
	return verb.Each(ctx, ps, m.parallel, m.probePatience, m.Check, each)
}

// Check runs `--status` of one plugin (RS-06). A call that ctx cut short, or
// that the host could not make, leaves the status unknown.
func (m *Manager) Check(ctx context.Context, p plugin.Plugin) plugin.Probe {
	return verb.Probe(p, time.Now(), m.runStatus(ctx, p))
}
