package process

import (
	"context"
	"slices"
	"syscall"
	"time"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

// Adopt begins to watch what an earlier life of the supervisor left running,
// and tells of it in order (EV-07): what is in the plugins' leaves, and those
// of the given processes that are still the same (EV-08), and where a target
// says so, what other programs have started. What it left of
// commands that only asked is ended when they should have. The first time,
// leaves that are empty and of none of the plugins are removed. A plugin that is
// watched already is only told of: what it runs as changes. When ctx ends, those
// that were not reached are missing at the end.
func (t *Tracker) Adopt(ctx context.Context, ts []plugin.Target) []plugin.Sighting {
	began := time.Now() // one pass over the processes is for all
	there := t.leavesThere(ts)
	seen := make([]plugin.Sighting, 0, len(ts))
	for _, target := range ts {
		if ctx.Err() != nil {
			break
		}
		_, leaf := slices.BinarySearch(there, target.Plugin.Name)
		seen = append(seen, t.adopt(target, leaf, began))
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
				t.abandon(name)
			}
		}
	}
	return seen
}

// leavesThere are the names of the plugins that have a leaf, those of ts among them.
func (t *Tracker) leavesThere(ts []plugin.Target) []string {
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

func (t *Tracker) adopt(target plugin.Target, leaf bool, began time.Time) plugin.Sighting {
	t.mu.Lock()
	defer t.mu.Unlock()
	tr := t.get(target.Plugin.Name)
	s := plugin.Sighting{Name: tr.name, Watch: plugin.WatchPidfd}
	if t.tree != nil {
		s.Watch = plugin.WatchCgroup
	}
	if tr.alive {
		s.Processes, _ = t.look(tr, began) // it has dealt with the error
		s.Life = tr.life
		return s
	}
	if leaf && t.occupy(tr) {
		tr.kills, _ = tr.leaf.OOMKills()
		t.endLater(tr, target.Plugin.Timeout)
	}
	for _, p := range target.Processes {
		if p.Boot == t.boot && tr.verbs == 0 {
			if err := t.join(tr, p); err != nil {
				t.cannotWatch(tr, err)
			}
		}
	}
	tr.outside = target.Outside || t.tree != nil && len(tr.watched) > 0 // find knows what is in the leaf
	live, err := t.find(tr, true, began)
	if err == nil && len(live) > 0 && tr.verbs == 0 && !tr.alive {
		tr.alive = true
		tr.life++
	}
	tr.outside = tr.outside && tr.alive
	s.Processes, _ = t.look(tr, began) // it has dealt with the error
	s.Life = tr.life
	return s
}

// leftovers are the processes of probes that an earlier life of the supervisor ran.
type leftovers struct {
	processes []plugin.Process
	kill      *time.Timer // at the plugin's deadline
}

// endLater ends what an earlier life of the supervisor was asking a plugin
// when it ended, at the plugin's deadline. What that asked has an answer for nobody.
func (t *Tracker) endLater(tr *tracked, after time.Duration) {
	pids, err := tr.probes.Procs()
	if err != nil || len(pids) == 0 || tr.askers > 0 {
		return
	}
	left := &leftovers{processes: t.living(pids)}
	left.kill = time.AfterFunc(after, func() { t.killLeftovers(tr.name, left) })
	tr.leftovers = left
}

func (t *Tracker) killLeftovers(name string, left *leftovers) {
	for _, p := range left.processes {
		if err := kill(p, syscall.SIGKILL); err != nil {
			t.log.WithError(err).WithField("plugin", name).Warn("Left over probe cannot be ended")
		}
	}
}

// endProbes kills what endLater has left for later, and waits for a moment until
// it is gone: its leaf cannot be removed before. Called with mu held.
func (t *Tracker) endProbes() {
	const patience = time.Second
	var killed []plugin.Process
	for _, tr := range t.tracked {
		if tr.leftovers != nil && tr.leftovers.kill.Stop() {
			t.killLeftovers(tr.name, tr.leftovers)
			killed = append(killed, tr.leftovers.processes...)
		}
	}
	for over := time.Now().Add(patience); time.Now().Before(over); time.Sleep(firstLook) {
		killed = slices.DeleteFunc(killed, func(p plugin.Process) bool {
			stat, err := procfs.ReadStat(p.PID)
			return err != nil || stat.Born != p.Born || !stat.Live()
		})
		if len(killed) == 0 {
			return
		}
	}
}

// abandon removes the leaf of what is no plugin any more.
func (t *Tracker) abandon(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tr, ok := t.tracked[name]; ok && tr.verbs+tr.askers > 0 {
		return
	}
	if err := t.tree.Remove(name); err != nil {
		t.log.WithError(err).WithField("plugin", name).Info("Something runs of what is not supervised")
	}
}
