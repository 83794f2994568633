package verb

import (
	"context"
	"runtime"
	"sync"
	"time"

	"pluginsupervisor/internal/hostfault"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

// Patience is how long a probe counts against the bound of Each: one that hangs
// must not hold up those that answer (SC-08).
const Patience = time.Second

// Each runs check, which is `--status` of one plugin, for every given plugin, at
// most parallel at once, and hands over each result as soon as it is there, one
// at a time (SC-08, SC-09). The error says that ctx ended, or the Runner was
// drained, before all had answered: what was cut short is not handed over. What
// the host could not run is, with its status unknown (EV-24).
func Each(
	ctx context.Context, ps []plugin.Plugin, parallel int, patience time.Duration,
	check func(context.Context, plugin.Plugin) plugin.Probe, each func(plugin.Probe),
) error {
	var (
		slots = make(chan struct{}, Parallel(parallel))
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
			impatient := time.AfterFunc(patience, giveBack)
			probe := check(ctx, p)
			impatient.Stop()
			giveBack()
			turn.Lock()
			defer turn.Unlock()
			if probe.Status == plugin.StatusUnknown && !probe.HostFault {
				cut = Unanswered(ctx, probe)
				return
			}
			each(probe)
		})
	}
	all.Wait()
	return cut
}

// Parallel returns how many probes run at once: what is configured, else twice
// the CPUs, within 4 and 32 (SC-08).
func Parallel(configured int) int {
	if configured > 0 {
		return configured
	}
	return min(max(2*runtime.NumCPU(), 4), 32)
}

// Unanswered returns why the status is unknown: the context, the host, or the
// Runner is draining.
func Unanswered(ctx context.Context, probe plugin.Probe) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if probe.HostFault {
		return hostfault.New("--status: " + probe.Cause)
	}
	return process.ErrDraining
}
