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

// Patience is the time after which a probe no longer counts against the limit of Each:
// probes that hang must not delay the others (SC-08).
const Patience = time.Second

// Each runs check, which is `--status` of one plugin, for every given plugin, at most
// parallel at once. It calls each with every result as soon as it is available, one at a
// time (SC-08, SC-09). It returns an error when ctx was done, or the Runner drained,
// before all had answered; each is not called for canceled runs. For a run that the host
// could not start it is called with an unknown status (EV-24).
func Each(
	ctx context.Context, ps []plugin.Plugin, parallel int, patience time.Duration,
	check func(context.Context, plugin.Plugin) plugin.Probe, each func(plugin.Probe),
) error {
	var (
		slots    = make(chan struct{}, Parallel(parallel))
		all      sync.WaitGroup
		mu       sync.Mutex // held during each; guards canceled
		canceled error
	)
	defer all.Wait()
	for _, p := range ps {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		all.Go(func() {
			releaseSlot := sync.OnceFunc(func() { <-slots })
			timer := time.AfterFunc(patience, releaseSlot)
			probe := check(ctx, p)
			timer.Stop()
			releaseSlot()
			mu.Lock()
			defer mu.Unlock()
			if probe.Status == plugin.StatusUnknown && !probe.HostFault {
				canceled = Unanswered(ctx, probe)
				return
			}
			each(probe)
		})
	}
	all.Wait()
	return canceled
}

// Parallel returns the maximum of probes at once: the configured one, else twice the
// number of CPUs, at least 4 and at most 32 (SC-08).
func Parallel(configured int) int {
	if configured > 0 {
		return configured
	}
	return min(max(2*runtime.NumCPU(), 4), 32)
}

// Unanswered returns the cause of an unknown status: the error of ctx, a fault of the
// host, or process.ErrDraining.
func Unanswered(ctx context.Context, probe plugin.Probe) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if probe.HostFault {
		return hostfault.New("--status: " + probe.Cause)
	}
	return process.ErrDraining
}
