package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/tools/testbed"
	"pluginsupervisor/plugin"
)

// idleBefore is the idle time before the measurement begins.
const idleBefore = 5 * time.Second

// idleResult holds the cost of an idle supervisor.
type idleResult struct {
	memory  memory
	cpu     float64 // of one core
	wakeups float64 // a second
}

// measureIdle runs the built supervisor with plugins that write a heartbeat about
// once a minute, waits until its first runs are finished, and measures it.
func measureIdle(ctx context.Context, o options) (_ idleResult, err error) {
	in, err := testbed.NewInstallation()
	if err != nil {
		return idleResult{}, err
	}
	defer func() { err = errors.Join(err, in.Clear()) }()
	program := filepath.Join(in.Root, "sampledaemon")
	if err := testbed.Build(ctx, "sampledaemon", program); err != nil {
		return idleResult{}, err
	}
	if _, err := in.Install(ctx, o.running, program, steady); err != nil {
		return idleResult{}, err
	}
	plane, url, err := testbed.StartControlPlane(ctx, o.bin, in.Root)
	if err != nil {
		return idleResult{}, err
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	supervisor, err := startSupervisor(o.bin, in.Root, url)
	if err != nil {
		return idleResult{}, err
	}
	// The supervisor stops before the plugins, or it would restart them.
	defer func() { err = errors.Join(err, supervisor.Stop()) }()
	return measureIdlePeriod(ctx, supervisor, admin.Dial(layout.Socket(in.Root)), o)
}

// startSupervisor starts the supervisor with its default periods. Only the first
// runs are at once, and may follow each other closely.
func startSupervisor(bin, root, url string) (*testbed.Child, error) {
	config := filepath.Join(root, "supervisor.yaml")
	text := fmt.Sprintf(`root: %q
instance_id: bench
control_plane: {url: %q}
first_run: {scan: 0s, pull: 2s, update: 1s, inventory: 1s, jitter: 0s}
avoid_window: 0s
restart: {stagger: 0s, healthy_after: 1s}
`, root, url)
	if err := os.WriteFile(config, []byte(text), 0o640); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return testbed.Spawn(filepath.Join(bin, "supervisor"), filepath.Join(root, "supervisor.log"), "run", "--config", config)
}

// measureIdlePeriod waits until the supervisor is idle, and measures it then.
func measureIdlePeriod(ctx context.Context, supervisor *testbed.Child, ask *admin.Client, o options) (idleResult, error) {
	before, err := waitIdle(ctx, supervisor, ask, o)
	if err != nil {
		return idleResult{}, err
	}
	if err := supervisor.Pass(ctx, idleBefore); err != nil {
		return idleResult{}, err
	}
	pid := supervisor.PID()
	cpu, wakeups, err := readUsage(pid)
	if err != nil {
		return idleResult{}, err
	}
	began := time.Now()
	if err := supervisor.Pass(ctx, o.idle); err != nil {
		return idleResult{}, err
	}
	took := time.Since(began)
	cpuAfter, wakeupsAfter, err := readUsage(pid)
	if err != nil {
		return idleResult{}, err
	}
	held, err := readMemory(pid)
	if err != nil {
		return idleResult{}, err
	}
	after, err := ask.Status(ctx)
	if err != nil {
		return idleResult{}, err
	}
	if after.Counters != before.Counters {
		return idleResult{}, fmt.Errorf("the supervisor was not idle: %+v became %+v", before.Counters, after.Counters)
	}
	return idleResult{
		memory: held, cpu: float64(cpuAfter-cpu) / float64(took), wakeups: float64(wakeupsAfter-wakeups) / took.Seconds(),
	}, nil
}

func readUsage(pid int) (cpu time.Duration, wakeups int64, err error) {
	if cpu, err = readCPU(pid); err != nil {
		return 0, 0, err
	}
	wakeups, err = countWakeups(pid)
	return cpu, wakeups, err
}

// waitIdle waits until the supervisor has nothing to do for the time of the
// measurement.
func waitIdle(ctx context.Context, supervisor *testbed.Child, ask *admin.Client, o options) (plugin.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, testbed.SettleWithin)
	defer cancel()
	for {
		var undone string
		s, err := ask.Status(ctx)
		switch {
		case err == nil:
			if undone = findPendingWork(s, o.running, idleBefore+o.idle); undone == "" {
				return s, nil
			}
		case !errors.Is(err, admin.ErrNoSupervisor):
			return s, err
		default:
			undone = err.Error()
		}
		if err := supervisor.Pass(ctx, 200*time.Millisecond); err != nil {
			return s, fmt.Errorf("not idle: %s: %w", undone, err)
		}
	}
}

// findPendingWork names work that is pending now or due soon; "" for none.
func findPendingWork(s plugin.Snapshot, plugins int, soon time.Duration) string {
	fine := 0
	for _, p := range s.Plugins {
		if p.State == plugin.StateRunning && p.Acked == plugin.StatusRunning && !p.Pending && !p.LastHeartbeat.IsZero() && p.NextAt.IsZero() {
			fine++
		}
	}
	switch c := s.Counters; {
	case fine != plugins:
		return fmt.Sprintf("%d of %d plugins run and are reported", fine, plugins)
	case c.Scans == 0 || c.Pulls == 0:
		return "scan and pull"
	case c.Probes < uint64(2*plugins):
		return "the check of started plugins after the healthy time"
	case s.Reports.Pending > 0 || s.Reports.Events > 0:
		return "reports"
	}
	for _, t := range s.Timers {
		if t.Running || t.Due.Sub(s.At) < soon {
			return t.Name
		}
	}
	return ""
}
