package native

import (
	"context"
	"time"

	"pluginsupervisor/internal/bounded"
	"pluginsupervisor/internal/hostfault"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// unkillableGrace is how long beyond its deadline and the grace a probe is waited
// for. A process in an uninterruptible sleep, on a file system that does not
// answer, cannot be ended by anybody; the scan must not wait for it.
const unkillableGrace = 5 * time.Second

var errStuck = hostfault.New("--status does not answer and cannot be ended")

// runStatus runs `--status` of one plugin, and gives it up when it cannot be ended. It
// is not run again before it has: else such processes would pile up.
func (m *Manager) runStatus(ctx context.Context, p plugin.Plugin) process.Result {
	limit := verb.Deadline(p) + m.grace + unkillableGrace
	known := m.stuck.Hangs(p.Key())
	r, err := bounded.Run(&m.stuck, p.Key(), limit, func() process.Result {
		return m.callVerb(ctx, verbCall{plugin: p, verb: plugin.VerbStatus})
	}, func(process.Result) { m.logFor(p).Info("The --status that could not be ended has exited") })
	if err == nil {
		return r
	}
	if !known {
		m.logFor(p).WithError(errStuck).Error("Probe given up")
	}
	return process.Result{ExitCode: -1, Err: errStuck}
}
