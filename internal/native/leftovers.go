package native

import (
	"context"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// pluginProcesses finds and kills the processes of plugins.
type pluginProcesses struct {
	tracker *process.Tracker // nil: no processes are known
	grace   time.Duration    // see Options.Grace
	log     logrus.FieldLogger
}

// Adopt begins to watch the running processes of plugins, and returns them (EV-07).
func (pp *pluginProcesses) Adopt(ctx context.Context, ts []plugin.WatchTarget) []plugin.Observed {
	return pp.tracker.Adopt(ctx, ts)
}

// Follow calls exited for each exit of a plugin, until ctx ends (EV-01).
func (pp *pluginProcesses) Follow(ctx context.Context, exited func(plugin.Exit)) error {
	return pp.tracker.Follow(ctx, exited)
}

// FollowLeaves follows the plugins' cgroups beside Follow, until ctx ends.
func (pp *pluginProcesses) FollowLeaves(ctx context.Context) error {
	return pp.tracker.FollowLeaves(ctx)
}

// killLeftovers kills the processes that a stopped plugin leaves running for the
// grace.
func (pp *pluginProcesses) killLeftovers(ctx context.Context, p plugin.Plugin) error {
	deadline := time.Now().Add(pp.grace)
	for pauses := pause.NewDoubling(firstPause, lastPause); ; {
		left, err := pp.listLeftovers(p)
		if err != nil || len(left) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			logFor(pp.log, p).WithField("pids", listPIDs(left)).Warn("Killing the processes that --stop left running")
			return pp.killProcesses(ctx, p)
		}
		if err := pauses.Sleep(ctx); err != nil {
			return err
		}
	}
}

func (pp *pluginProcesses) killProcesses(ctx context.Context, p plugin.Plugin) error {
	if err := pp.tracker.KillPlugin(ctx, p.Name); err != nil {
		return fmt.Errorf("kill leftover processes: %w", err)
	}
	return nil
}

// listLeftovers returns the running processes of a plugin, as far as they are known.
func (pp *pluginProcesses) listLeftovers(p plugin.Plugin) ([]plugin.Process, error) {
	if pp.tracker == nil || p.Duplicate {
		return nil, nil
	}
	left, _, err := pp.tracker.ListProcesses(p.Name)
	if err != nil {
		return nil, fmt.Errorf("list leftover processes: %w", err)
	}
	return left, nil
}

// addProcesses adds the running processes of a plugin to an outcome.
func (pp *pluginProcesses) addProcesses(p plugin.Plugin, o plugin.Outcome) plugin.Outcome {
	if pp.tracker != nil && !p.Duplicate {
		o.Processes, o.RunID, _ = pp.tracker.ListProcesses(p.Name)
	}
	return o
}

// countProcesses returns the number of a plugin's processes and their run ID;
// zero without a tracker.
func (pp *pluginProcesses) countProcesses(p plugin.Plugin) (n int, runID uint64, err error) {
	if pp.tracker == nil {
		return 0, 0, nil
	}
	ps, runID, err := pp.tracker.ListProcesses(p.Name)
	return len(ps), runID, err
}

// waitForLeftovers makes sure that no process is left of a plugin whose
// `--status` reports not running, before it is started: it must never run twice.
// Processes younger than the plugin's deadline may be a start in progress,
// perhaps of an earlier supervisor process: they get the rest of it. Older ones are
// killed (EV-07), unless the host cannot run `--status` (EV-24). It reports whether
// the plugin runs after all.
func (m *Manager) waitForLeftovers(ctx context.Context, p plugin.Plugin) (runs bool, err error) {
	for pauses := pause.NewDoubling(firstPause, lastPause); ; {
		left, err := m.listLeftovers(p)
		if err != nil || len(left) == 0 {
			return false, err
		}
		switch probe := m.Check(ctx, p); probe.Status {
		case plugin.StatusRunning:
			return true, nil
		case plugin.StatusUnknown:
			return false, verb.Unanswered(ctx, probe)
		}
		age := findOldestAge(left)
		if age >= verb.Deadline(p) {
			logFor(m.log, p).WithField("pids", listPIDs(left)).Warn("Plugin reports that it is not running; killing its leftover processes")
			return false, m.killProcesses(ctx, p)
		}
		if err := pause.Sleep(ctx, min(pauses.Next(), verb.Deadline(p)-age)); err != nil {
			return false, err
		}
	}
}

func findOldestAge(ps []plugin.Process) (age time.Duration) {
	for _, p := range ps {
		age = max(age, process.Age(p))
	}
	return age
}

func listPIDs(ps []plugin.Process) []int {
	all := make([]int, len(ps))
	for i, p := range ps {
		all[i] = p.PID
	}
	return all
}
