package process

import (
	"context"
	"slices"
	"syscall"
	"time"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

// Adopt starts to watch the processes that an earlier run of the supervisor left, and returns what
// it found, in the order of ts (EV-07). It looks for processes in the plugins' leaves, for the
// given processes if they are still the same (EV-08), and for processes that other programs started
// if a target asks for it. Probes that the earlier run left are killed at their deadline. The first
// call also removes empty leaves of unknown plugins. For a plugin that is already watched, Adopt
// returns the current processes only. When ctx ends, the targets that were not reached are missing
// at the end.
func (t *Tracker) Adopt(ctx context.Context, ts []plugin.WatchTarget) []plugin.Observed {
	began := time.Now() // one scan serves all targets
	there := t.listLeaves(ts)
	seen := make([]plugin.Observed, 0, len(ts))
	for _, target := range ts {
		if ctx.Err() != nil {
			break
		}
		_, leaf := slices.BinarySearch(there, target.Plugin.Name)
		seen = append(seen, t.adoptPlugin(target, leaf, began))
	}
	t.mu.Lock()
	first := !t.swept
	t.swept = true
	t.mu.Unlock()
	if first {
		known := make(map[string]bool, len(ts))
		for _, target := range ts {
			known[target.Plugin.Name] = true
		}
		for _, name := range there {
			if !known[name] {
				t.removeLeaf(name)
			}
		}
	}
	return seen
}

// listLeaves returns the names of the plugins that have a leaf, also of those in ts.
func (t *Tracker) listLeaves(ts []plugin.WatchTarget) []string {
	if t.tree == nil {
		return nil
	}
	var expected []string
	for _, target := range ts {
		expected = append(expected, target.Plugin.Name)
	}
	names, err := t.tree.Names(expected...)
	if err != nil {
		t.log.WithError(err).Warn("Cgroups of plugins cannot be listed")
	}
	return names
}

func (t *Tracker) adoptPlugin(target plugin.WatchTarget, leaf bool, began time.Time) plugin.Observed {
	t.mu.Lock()
	defer t.mu.Unlock()
	tr := t.getTracked(target.Plugin.Name)
	s := plugin.Observed{Name: tr.name, Watch: plugin.WatchPidfd}
	if t.tree != nil {
		s.Watch = plugin.WatchCgroup
	}
	if tr.alive {
		s.Processes, _ = t.inspect(tr, began) // inspect has handled the error
		s.RunID = tr.runID
		return s
	}
	if leaf && t.ensureLeaves(tr) {
		tr.oomKills, _ = tr.leaf.OOMKills()
		t.killProbesLater(tr, target.Plugin.Timeout)
	}
	for _, p := range target.Processes {
		if p.BootID == t.boot && tr.daemonCommands == 0 {
			if err := t.addMember(tr, p); err != nil {
				t.cannotWatch(tr, err)
			}
		}
	}
	tr.outside = target.IncludeExternal || t.tree != nil && len(tr.watched) > 0 // findProcesses knows what is in the leaf
	live, err := t.findProcesses(tr, true, began)
	if err == nil && len(live) > 0 && tr.daemonCommands == 0 && !tr.alive {
		tr.alive = true
		tr.runID++
	}
	tr.outside = tr.outside && tr.alive
	s.Processes, _ = t.inspect(tr, began) // inspect has handled the error
	s.RunID = tr.runID
	return s
}

// leftovers are the probes of one plugin that an earlier run of the supervisor left.
type leftovers struct {
	processes []plugin.Process
	kill      *time.Timer // at the plugin's deadline
}

// killProbesLater kills the probes that an earlier run of the supervisor left, after the plugin's timeout.
// No caller waits for their answers.
func (t *Tracker) killProbesLater(tr *tracked, after time.Duration) {
	pids, err := tr.probes.Procs()
	if err != nil || len(pids) == 0 || tr.probeCommands > 0 {
		return
	}
	left := &leftovers{processes: t.filterLive(pids)}
	left.kill = time.AfterFunc(after, func() { t.killLeftovers(tr.name, left) })
	tr.leftovers = left
}

func (t *Tracker) killLeftovers(name string, left *leftovers) {
	for _, p := range left.processes {
		if err := signalProcess(p, syscall.SIGKILL); err != nil {
			t.log.WithError(err).WithField("plugin", name).Warn("Cannot kill a probe of an earlier run")
		}
	}
}

// killProbesNow kills the probes that killProbesLater has not killed yet, and waits up to a second until
// they have exited: their cgroup cannot be removed before. mu must be held.
func (t *Tracker) killProbesNow() {
	const patience = time.Second
	var killed []plugin.Process
	for _, tr := range t.tracked {
		if tr.leftovers != nil && tr.leftovers.kill.Stop() {
			t.killLeftovers(tr.name, tr.leftovers)
			killed = append(killed, tr.leftovers.processes...)
		}
	}
	for over := time.Now().Add(patience); time.Now().Before(over); time.Sleep(minPoll) {
		killed = slices.DeleteFunc(killed, func(p plugin.Process) bool {
			stat, err := procfs.ReadStat(p.PID)
			return err != nil || stat.Born != p.StartTicks || !stat.Live()
		})
		if len(killed) == 0 {
			return
		}
	}
}

// removeLeaf removes the leaf of a plugin that does not exist any more.
func (t *Tracker) removeLeaf(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tr, ok := t.tracked[name]; ok && tr.daemonCommands+tr.probeCommands > 0 {
		return
	}
	if err := t.tree.Remove(name); err != nil {
		t.log.WithError(err).WithField("plugin", name).Info("Something runs of what is not supervised")
	}
}
