package process

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"pluginsupervisor/internal/cgroup"
	"pluginsupervisor/plugin"
)

// commandScope is the place where a command runs: the leaf of its plugin, or the leaf for its probes. The
// zero value is a command without a plugin.
type commandScope struct {
	tracker  *Tracker
	plugin   *tracked
	leaf     *cgroup.Leaf // nil: no cgroup is available
	daemon   bool         // the command may leave a daemon
	existing []plugin.Process
	oomKills uint64 // OOM kills in the leaf before the command
}

// beginScope prepares the scope of a command. endScope ends it.
func (t *Tracker) beginScope(c Command) *commandScope {
	if t == nil || c.Plugin == "" {
		return &commandScope{tracker: t}
	}
	at := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &commandScope{tracker: t, plugin: t.getTracked(c.Plugin), daemon: c.Daemon}
	if t.ensureLeaves(r.plugin) {
		r.leaf = r.plugin.probes
		if r.daemon {
			r.leaf = r.plugin.leaf
		}
	}
	if !r.daemon {
		r.plugin.probeCommands++
		return r
	}
	r.existing, _ = t.inspect(r.plugin, at) // inspect has handled the error
	r.plugin.daemonCommands++
	if r.plugin.leaf != nil {
		if err := r.plugin.leaf.Limit(r.plugin.limits); err != nil {
			t.warnOnce(r.plugin, err, "Plugin is started without a limit")
		}
		r.oomKills, _ = r.plugin.leaf.OOMKills()
	}
	return r
}

// ensureLeaves creates the leaves of a plugin, and reports whether it has them.
func (t *Tracker) ensureLeaves(tr *tracked) bool {
	if t.tree == nil {
		return false
	}
	leaf, err := t.tree.Leaf(tr.name)
	if err == nil {
		tr.leaf = leaf
		tr.probes, err = t.tree.Probes(tr.name)
	}
	if err != nil {
		t.warnOnce(tr, err, "Plugin has no cgroup")
		return false
	}
	return true
}

// startProcess starts a process in the scope and returns its pid. If the leaf cannot be used, the process
// starts outside of it. The reaper ignores the process until startProcess returns.
func (r *commandScope) startProcess(f *fork) (pid int, err error) {
	t := r.tracker
	if t == nil {
		return f.runIn(-1)
	}
	t.mu.Lock()
	t.forks[f] = true
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.forks, f)
		if err == nil {
			t.commands[pid]++
		} else {
			t.wakeReaper()
		}
	}()
	if r.leaf != nil {
		err = r.leaf.Fork(func(fd int) error {
			pid, err = f.runIn(fd)
			return err
		})
	}
	if r.leaf == nil || isCgroupError(err) {
		cause := err
		if pid, err = f.runIn(-1); err == nil && r.leaf != nil {
			t.mu.Lock()
			t.warnOnce(r.plugin, cause, "Command of plugin runs outside its cgroup")
			t.mu.Unlock()
		}
	}
	return pid, err
}

// isCgroupError reports whether an error may be that of the cgroup: it was removed, or cannot take
// processes. A full cgroup (EAGAIN) is not such an error, because the limit must hold.
func isCgroupError(err error) bool {
	for _, e := range []error{fs.ErrNotExist, fs.ErrPermission, syscall.EBUSY, syscall.ENODEV, syscall.EOPNOTSUPP} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// markReaped records that a command was reaped.
func (r *commandScope) markReaped(pid int) {
	t := r.tracker
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.commands[pid]--; t.commands[pid] <= 0 {
		delete(t.commands, pid)
	}
	t.wakeReaper()
}

// killLeft kills the processes in the leaf that belong to the command.
func (r *commandScope) killLeft() {
	rest := r.listLeft()
	if len(rest) > 0 && r.daemon && len(r.existing) == 0 && r.leaf.Kill() == nil {
		return
	}
	for _, p := range rest {
		_ = signalProcess(p, syscall.SIGKILL)
	}
}

// listLeft returns the live processes in the leaf that belong to the command. With several probes at
// the same time it returns none, because their processes cannot be told apart.
func (r *commandScope) listLeft() []plugin.Process {
	if r.leaf == nil {
		return nil
	}
	t := r.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	if !r.daemon && r.plugin.probeCommands > 1 {
		return nil
	}
	pids, err := r.leaf.Procs()
	if err != nil {
		return nil
	}
	var rest []plugin.Process
	for _, p := range t.filterLive(pids) {
		if !slices.Contains(r.existing, p) {
			rest = append(rest, p)
		}
	}
	return rest
}

// ranOutOfMemory reports whether the kernel killed a process in the leaf for lack of memory since the
// command began.
func (r *commandScope) ranOutOfMemory() bool {
	if r.leaf == nil || !r.daemon {
		return false
	}
	kills, known := r.leaf.OOMKills()
	return known && kills > r.oomKills
}

// endScope returns what the command has left running, and its run ID. It is watched from now on, and
// its exit is again an exit of the plugin.
func (r *commandScope) endScope() (life uint64, left []plugin.Process) {
	if r.plugin == nil {
		return 0, nil
	}
	t := r.tracker
	if !r.daemon {
		t.mu.Lock()
		defer t.mu.Unlock()
		r.plugin.probeCommands--
		return 0, nil
	}
	t.reapChildren()         // a zombie would count as alive
	const few, most = 3, 100 // a list of processes may miss one that is just being forked
	for i := 0; ; i++ {
		// While a process executes another program, its plugin is not known. Check this first, so
		// that a process that was hidden then is listed now.
		hidden := t.tree == nil && anyExecuting()
		if life, left, sure := r.checkLeft(t.tree != nil || i >= few && !hidden || i == most); sure {
			return life, left
		}
		time.Sleep(minPoll)
	}
}

// checkLeft lists what the command has left. Finding no process counts only in the last check.
func (r *commandScope) checkLeft(last bool) (life uint64, left []plugin.Process, sure bool) {
	t, at := r.tracker, time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	live, err := t.findProcesses(r.plugin, true, at)
	if err == nil && len(live) == 0 && !last {
		return 0, nil, false
	}
	r.plugin.daemonCommands--
	return t.updateRun(r.plugin, live, err), live, true
}

// updateRun records the processes of a plugin after a command has exited, and returns the run ID.
func (t *Tracker) updateRun(tr *tracked, live []plugin.Process, err error) (life uint64) {
	switch {
	case errors.Is(err, errFleeting):
		t.inspectLater(tr, minPoll)
	case err != nil:
		t.warnOnce(tr, err, "Processes of plugin cannot be listed")
		t.inspectLater(tr, blindRecheckAfter)
	case tr.daemonCommands > 0: // another command is still running
	case len(live) > 0:
		tr.runID++
		tr.alive = true
		if tr.leaf != nil {
			tr.oomKills, _ = tr.leaf.OOMKills()
		}
		tr.lastSearch = time.Time{}
		t.watchProcesses(tr, live)
	case tr.alive:
		t.reportPluginExit(tr, time.Now())
	}
	return tr.runID
}
