package native

import (
	"context"
	"fmt"
	"time"

	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// Adopt begins to watch the processes of plugins, and tells what runs of them (EV-07).
func (m *Manager) Adopt(ctx context.Context, ts []plugin.WatchTarget) []plugin.Observed {
	return m.tracker.Adopt(ctx, ts)
}

// Follow tells of each end of a plugin, until ctx ends (EV-01).
func (m *Manager) Follow(ctx context.Context, exited func(plugin.Exit)) error {
	return m.tracker.Follow(ctx, exited)
}

// FollowLeaves follows the plugins' cgroups beside Follow, until ctx ends.
func (m *Manager) FollowLeaves(ctx context.Context) error { return m.tracker.FollowLeaves(ctx) }

// waitForLeftovers makes sure that nothing of a plugin that says it does not run is
// left when it is started: it must never run twice. What is younger than the
// plugin's deadline may be a start in progress, by an earlier life of the
// supervisor perhaps, and is given the rest of it; what is older is killed
// (EV-07), unless the host could not run `--status` (EV-24). It reports whether
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
			m.logFor(p).WithField("pids", listPIDs(left)).Warn("Plugin says it does not run, what is left of it is killed")
			return false, m.killProcesses(ctx, p)
		}
		if err := pause.Sleep(ctx, min(pauses.Next(), verb.Deadline(p)-age)); err != nil {
			return false, err
		}
	}
}

// killLeftovers kills what a plugin that was stopped leaves running.
func (m *Manager) killLeftovers(ctx context.Context, p plugin.Plugin) error {
	over := time.Now().Add(m.grace)
	for pauses := pause.NewDoubling(firstPause, lastPause); ; {
		left, err := m.listLeftovers(p)
		if err != nil || len(left) == 0 {
			return err
		}
		if time.Now().After(over) {
			m.logFor(p).WithField("pids", listPIDs(left)).Warn("Plugin was stopped, what is left of it is killed")
			return m.killProcesses(ctx, p)
		}
		if err := pauses.Sleep(ctx); err != nil {
			return err
		}
	}
}

func (m *Manager) killProcesses(ctx context.Context, p plugin.Plugin) error {
	if err := m.tracker.KillPlugin(ctx, p.Name); err != nil {
		return fmt.Errorf("kill what is left of it: %w", err)
	}
	return nil
}

// listLeftovers is what runs of a plugin, as far as is known.
func (m *Manager) listLeftovers(p plugin.Plugin) ([]plugin.Process, error) {
	if m.tracker == nil || p.Duplicate {
		return nil, nil
	}
	left, _, err := m.tracker.ListProcesses(p.Name)
	if err != nil {
		return nil, fmt.Errorf("see what is left of it: %w", err)
	}
	return left, nil
}

// addProcesses adds to an outcome what runs now, for one that ran no verb of its own.
func (m *Manager) addProcesses(p plugin.Plugin, o plugin.Outcome) plugin.Outcome {
	if m.tracker != nil && !p.Duplicate {
		o.Processes, o.RunID, _ = m.tracker.ListProcesses(p.Name)
	}
	return o
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
