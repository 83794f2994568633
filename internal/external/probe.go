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

// Probe runs the program's `--status` once for all plugins, and calls each with the
// status of the given ones, whatever the exit code (SC-10). It skips plugins that are
// not in the output. It fails if the output cannot be parsed (SC-11), or with the
// error of ctx.
//
// The program checks one plugin after the other and prints at the end. If it does not
// finish in time, because several plugins hang, Probe checks each plugin separately
// and in parallel, now and as long as one of them hangs. So the status of the others
// is known in the same scan.
func (m *Manager) Probe(ctx context.Context, ps []plugin.Plugin, each func(plugin.Probe)) error {
	if m.hung.isAny() {
		return m.checkEach(ctx, ps, each)
	}
	r := m.explainFailure(m.runner.Run(ctx, process.Command{
		Path: m.path, Args: []string{"--status"}, Env: m.env, Timeout: m.statusTimeout, Keep: maxStatus,
	}))
	if r.Cancelled || !r.Started {
		return fmt.Errorf("run --status: %w", r.Err)
	}
	lines, err := parseStatus([]byte(r.Output))
	switch {
	case err != nil && r.TimedOut:
		m.log.WithField("cause", r.Err.Error()).Warn("Plugin manager did not return the status of all plugins in time, checking each separately")
		return m.checkEach(ctx, ps, each)
	case err != nil && r.Err != nil:
		return fmt.Errorf("run --status: %w: %w", r.Err, err)
	case err != nil:
		return fmt.Errorf("run --status: %w", err)
	case r.Err != nil:
		m.log.WithField("cause", r.Err.Error()).Warn("Plugin manager failed after it printed the status, using what it printed")
	}
	at := time.Now()
	for i, l := range matchLines(ps, lines) {
		if l == nil {
			continue
		}
		probe := plugin.Probe{Plugin: ps[i], Status: l.pluginStatus(), At: at}
		if probe.Status != plugin.StatusRunning {
			probe.Cause = "plugin manager reports " + l.Status
			probe.HostFault = probe.Status == plugin.StatusUnknown // it could not check (EV-24)
		}
		each(probe)
	}
	return nil
}

// checkEach checks each plugin separately.
func (m *Manager) checkEach(ctx context.Context, ps []plugin.Plugin, each func(plugin.Probe)) error {
	return verb.Each(ctx, ps, m.parallel, verb.Patience, m.Check, func(p plugin.Probe) {
		m.hung.update(p)
		each(p)
	})
}

// hung holds the plugins whose last separate `--status` did not return. The zero value
// is empty.
type hung struct {
	mu   sync.Mutex
	keys map[string]bool // by plugin.Key
}

func (h *hung) isAny() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.keys) > 0
}

// update records the result of one plugin.
func (h *hung) update(p plugin.Probe) {
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

// retain forgets the plugins that are no longer installed.
func (h *hung) retain(installed []plugin.Plugin) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.keys, func(key string, _ bool) bool {
		return !slices.ContainsFunc(installed, func(p plugin.Plugin) bool { return p.Key() == key && p.IsProbed() })
	})
}

// matchLines returns the line of each plugin, nil for none. A name may occur several
// times (ST-10), also with a removed record: lines that are not removed come first,
// then lines of the same version. A line of another version is accepted for a plugin
// that may just have been upgraded, but not for a duplicate.
func matchLines(ps []plugin.Plugin, lines []statusLine) []*statusLine {
	byName := make(map[string][]*statusLine)
	for i := range lines {
		byName[lines[i].Name] = append(byName[lines[i].Name], &lines[i])
	}
	matched := make([]*statusLine, len(ps))
	used := make(map[*statusLine]bool)
	for _, removed := range []bool{false, true} {
		for _, exact := range []bool{true, false} {
			for i, p := range ps {
				if matched[i] != nil || !exact && p.Duplicate {
					continue
				}
				for _, l := range byName[p.Name] {
					if !used[l] && (l.pluginStatus() == plugin.StatusRemoved) == removed && (!exact || l.Version == p.Version) {
						matched[i], used[l] = l, true
						break
					}
				}
			}
		}
	}
	return matched
}
