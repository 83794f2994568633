package external

import (
	"context"
	"fmt"
	"time"

	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

// Probe runs the program's `--status`, once for all plugins, and hands over
// what it says of the given ones, whatever it exits with (SC-10). A plugin it
// says nothing of is not handed over. The error is that its output could not be
// read (SC-11), or ctx's.
func (m *Manager) Probe(ctx context.Context, ps []plugin.Plugin, each func(plugin.Probe)) error {
	r := m.explain(m.runner.Run(ctx, process.Command{
		Path: m.path, Args: []string{"--status"}, Env: m.env, Timeout: statusTimeout, Keep: maxStatus,
	}))
	if r.Cancelled || !r.Started {
		return fmt.Errorf("run --status: %w", r.Err)
	}
	lines, err := parseStatus([]byte(r.Output))
	if err != nil {
		if r.Err != nil {
			return fmt.Errorf("run --status: %w: %w", r.Err, err)
		}
		return fmt.Errorf("run --status: %w", err)
	}
	if r.Err != nil {
		m.log.WithField("cause", r.Err.Error()).Warn("Plugin manager failed to tell the status, what it printed is used")
	}
	at := time.Now()
	for i, l := range match(ps, lines) {
		if l == nil {
			continue
		}
		probe := plugin.Probe{Plugin: ps[i], Status: l.status(), At: at}
		if probe.Status != plugin.StatusRunning {
			probe.Cause = "plugin manager says " + l.Status
			probe.HostFault = probe.Status == plugin.StatusUnknown // it could not ask (EV-24)
		}
		each(probe)
	}
	return nil
}

// match finds the line of each plugin, nil where there is none. A name may
// come more than once (ST-10), with a removed record too: a line of the same
// version is preferred, and one that is not about a removed record before all.
// Another version is taken for the plugin itself, which may just have been
// upgraded, but not for a duplicate.
func match(ps []plugin.Plugin, lines []line) []*line {
	byName := make(map[string][]*line)
	for i := range lines {
		byName[lines[i].Name] = append(byName[lines[i].Name], &lines[i])
	}
	matched := make([]*line, len(ps))
	used := make(map[*line]bool)
	for _, removed := range []bool{false, true} {
		for _, exact := range []bool{true, false} {
			for i, p := range ps {
				if matched[i] != nil || !exact && p.Duplicate {
					continue
				}
				for _, l := range byName[p.Name] {
					if !used[l] && (l.status() == plugin.StatusRemoved) == removed && (!exact || l.Version == p.Version) {
						matched[i], used[l] = l, true
						break
					}
				}
			}
		}
	}
	return matched
}
