package external

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// Probe runs the program's `--status`, once for all plugins, and hands over what
// it says of the given ones, whatever it exits with (SC-10). A plugin it says
// nothing of is not handed over. The error is that its output could not be read
// (SC-11), or ctx's.
//
// The program asks one plugin after the other and prints at the end. When that
// does not come in time, because several of them hang, each plugin is asked by
// itself, side by side, at once and as long as one of them hangs: so the others
// are known of in the same scan.
func (m *Manager) Probe(ctx context.Context, ps []plugin.Plugin, each func(plugin.Probe)) error {
	if m.hung.any() {
		return m.checkEach(ctx, ps, each)
	}
	r := m.explain(m.runner.Run(ctx, process.Command{
		Path: m.path, Args: []string{"--status"}, Env: m.env, Timeout: m.statusTimeout, Keep: maxStatus,
	}))
	if r.Cancelled || !r.Started {
		return fmt.Errorf("run --status: %w", r.Err)
	}
	lines, err := parseStatus([]byte(r.Output))
	switch {
	case err != nil && r.TimedOut:
		m.log.WithField("cause", r.Err.Error()).Warn("Plugin manager did not return the status of all plugins, each is asked by itself")
		return m.checkEach(ctx, ps, each)
	case err != nil && r.Err != nil:
		return fmt.Errorf("run --status: %w: %w", r.Err, err)
	case err != nil:
		return fmt.Errorf("run --status: %w", err)
	case r.Err != nil:
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

// checkEach asks each plugin by itself.
func (m *Manager) checkEach(ctx context.Context, ps []plugin.Plugin, each func(plugin.Probe)) error {
	return verb.Each(ctx, ps, m.parallel, verb.Patience, m.Check, func(p plugin.Probe) {
		m.hung.note(p)
		each(p)
	})
}

// hung holds the plugins whose `--status` did not return the last time that they
// were asked by themselves. The zero value is empty.
type hung struct {
	mu   sync.Mutex
	keys map[string]bool // by plugin.Key
}

func (h *hung) any() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.keys) > 0
}

// note takes over what one plugin said.
func (h *hung) note(p plugin.Probe) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !p.NoAnswer {
		delete(h.keys, p.Plugin.Key())
		return
	}
	if h.keys == nil {
		h.keys = map[string]bool{}
	}
	h.keys[p.Plugin.Key()] = true
}

// keep forgets the plugins that are not installed any more.
func (h *hung) keep(installed []plugin.Plugin) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.keys, func(key string, _ bool) bool {
		return !slices.ContainsFunc(installed, func(p plugin.Plugin) bool { return p.Key() == key && p.IsProbed() })
	})
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
