package native

import (
	"context"
	"sync"
	"time"

	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// probePatience is how long a probe counts against the bound: one that hangs
// must not hold up those that answer (SC-08).
const probePatience = time.Second

// Probe asks `--status` of every given plugin, at most Options.Parallel at
// once, each with its own deadline, and hands over each result as soon as it
// is there, one at a time (SC-08, SC-09). When it returns no process of it is
// left, but for one that nobody can end. The error tells that ctx ended, or the Runner was drained, before all
// had answered: what was cut short is not handed over. One that the host could
// not ask is, with its status unknown (EV-24).
func (m *Manager) Probe(ctx context.Context, ps []plugin.Plugin, each func(plugin.Probe)) error {
	var (
		slots = make(chan struct{}, m.parallel)
		all   sync.WaitGroup
		turn  sync.Mutex // of each, and for cut
		cut   error
	)
	defer all.Wait()
	for _, p := range ps {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		all.Go(func() {
			giveBack := sync.OnceFunc(func() { <-slots })
			impatient := time.AfterFunc(m.patience, giveBack)
			probe := m.Check(ctx, p)
			impatient.Stop()
			giveBack()
			turn.Lock()
			defer turn.Unlock()
			if probe.Status == plugin.StatusUnknown && !probe.HostFault {
				cut = noAnswer(ctx, probe)
				return
			}
			each(probe)
		})
	}
	all.Wait()
	return cut
}

// Check runs `--status` of one plugin (RS-06). A call that ctx cut short, or
// that the host could not make, leaves the status unknown.
func (m *Manager) Check(ctx context.Context, p plugin.Plugin) plugin.Probe {
	return verb.Probe(p, time.Now(), m.ask(ctx, p))
}
