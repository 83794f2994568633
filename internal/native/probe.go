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

// prober runs the `--status` of plugins.
type prober struct {
	verbRunner
	parallel      int
	probePatience time.Duration // for how long a probe counts against parallel
	overtime      time.Duration // for how long beyond its deadline a probe is waited for
	stuck         bounded.Set   // plugins whose `--status` cannot be killed
}

// unkillableGrace is how long beyond its deadline and the grace a probe is waited
// for. A process in an uninterruptible sleep, on a file system that does not
// answer, cannot be killed; the scan must not wait for it.
const unkillableGrace = 5 * time.Second

var errStuck = hostfault.New("--status does not return and cannot be killed")

// Probe runs `--status` of every given plugin, at most Options.Parallel at once,
// each with its own deadline. It calls each with every result as soon as it is
// there, one at a time (SC-08, SC-09); where the host could not run `--status`, the
// status is unknown (EV-24). When it returns, none of its processes is left, except
// for one that cannot be killed. The error means that ctx ended, or the Runner was
// drained, before all plugins had answered: each is not called for the others.
func (pr *prober) Probe(ctx context.Context, ps []plugin.Plugin, each func(plugin.Probe)) error {
	return verb.Each(ctx, ps, pr.parallel, pr.probePatience, pr.Check, each)
}

// Check runs `--status` of one plugin (RS-06). The status is unknown where ctx
// ended, or the host could not run it.
func (pr *prober) Check(ctx context.Context, p plugin.Plugin) plugin.Probe {
	return verb.Probe(p, time.Now(), pr.runStatus(ctx, p))
}

// runStatus runs `--status` of one plugin, and stops waiting for one that cannot be
// killed. It is not run again before that has exited: else such processes would
// pile up.
func (pr *prober) runStatus(ctx context.Context, p plugin.Plugin) process.Result {
	limit := verb.Deadline(p) + pr.overtime
	known := pr.stuck.Hangs(p.Key())
	r, err := bounded.Run(&pr.stuck, p.Key(), limit, func() process.Result {
		return pr.callVerb(ctx, verbCall{plugin: p, verb: plugin.VerbStatus})
	}, func(process.Result) { logFor(pr.log, p).Info("The stuck --status has exited") })
	if err == nil {
		return r
	}
	if !known {
		logFor(pr.log, p).WithError(errStuck).Error("--status does not return and cannot be killed; not waiting for it")
	}
	return process.Result{ExitCode: -1, Err: errStuck}
}

// queryStatus returns the status of a plugin now: for a Persist plugin by
// `--status`.
func (pr *prober) queryStatus(ctx context.Context, p plugin.Plugin) plugin.Status {
	switch p.Type {
	case plugin.Persist:
		return pr.Check(ctx, p).Status
	case plugin.Once:
		return plugin.StatusInstalled
	default:
		return plugin.StatusUnknown
	}
}
