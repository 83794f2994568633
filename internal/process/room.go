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

// room is where a command runs: for one of a plugin its leaf, or that of its
// probes. The zero value is nowhere in particular.
type room struct {
	tracker *Tracker
	of      *tracked
	leaf    *cgroup.Leaf // nil: none is to be had
	stays   bool         // the command may leave a daemon
	before  []plugin.Process
	kills   uint64 // for want of memory in the leaf, before the command
}

// enter makes the room for a command, until leave.
func (t *Tracker) enter(c Command) *room {
	if t == nil || c.Plugin == "" {
		return &room{tracker: t}
	}
	at := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &room{tracker: t, of: t.get(c.Plugin), stays: c.Daemon}
	if t.occupy(r.of) {
		r.leaf = r.of.probes
		if r.stays {
			r.leaf = r.of.leaf
		}
	}
	if !r.stays {
		r.of.askers++
		return r
	}
	r.before, _ = t.look(r.of, at) // it has dealt with the error
	r.of.verbs++
	if r.of.leaf != nil {
		if err := r.of.leaf.Limit(r.of.limits); err != nil {
			t.warnOnce(r.of, err, "Plugin is started without a limit")
		}
		r.kills, _ = r.of.leaf.OOMKills()
	}
	return r
}

// occupy makes sure that a plugin has its leaves, if there are any.
func (t *Tracker) occupy(tr *tracked) bool {
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

// fork starts a process in the room, and returns its pid. A leaf that cannot be
// begun in keeps nothing from starting. Until it returns, the reaper leaves the
// process alone.
func (r *room) fork(f *fork) (pid int, err error) {
	t := r.tracker
	if t == nil {
		return f.run(-1)
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
			t.uncover()
		}
	}()
	if r.leaf != nil {
		err = r.leaf.Fork(func(fd int) error {
			pid, err = f.run(fd)
			return err
		})
	}
	if r.leaf == nil || refused(err) {
		cause := err
		if pid, err = f.run(-1); err == nil && r.leaf != nil {
			t.mu.Lock()
			t.warnOnce(r.of, cause, "Command of plugin runs outside its cgroup")
			t.mu.Unlock()
		}
	}
	return pid, err
}

// refused tells of an error that it may be the cgroup's: it is gone, or was
// made into one that takes no processes. That it is full (EAGAIN) is not: the
// limit holds.
func refused(err error) bool {
	for _, e := range []error{fs.ErrNotExist, fs.ErrPermission, syscall.EBUSY, syscall.ENODEV, syscall.EOPNOTSUPP} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// reaped is told when a command that was forked has been reaped.
func (r *room) reaped(pid int) {
	t := r.tracker
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.commands[pid]--; t.commands[pid] <= 0 {
		delete(t.commands, pid)
	}
	t.uncover()
}

// kill kills what is in the leaf because of the command.
func (r *room) kill() {
	rest := r.rest()
	if len(rest) > 0 && r.stays && len(r.before) == 0 && r.leaf.Kill() == nil {
		return
	}
	for _, p := range rest {
		_ = kill(p, syscall.SIGKILL) // what stays is waited for
	}
}

// rest is what is alive in the leaf because of the command, wherever it has
// gone in it. Of several that only ask at the same time it cannot be known
// which did what: then nothing is.
func (r *room) rest() []plugin.Process {
	if r.leaf == nil {
		return nil
	}
	t := r.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	if !r.stays && r.of.askers > 1 {
		return nil
	}
	pids, err := r.leaf.Procs()
	if err != nil {
		return nil
	}
	var rest []plugin.Process
	for _, p := range t.living(pids) {
		if !slices.Contains(r.before, p) {
			rest = append(rest, p)
		}
	}
	return rest
}

// short tells whether something in the leaf was killed for want of memory
// since the command began.
func (r *room) short() bool {
	if r.leaf == nil || !r.stays {
		return false
	}
	kills, known := r.leaf.OOMKills()
	return known && kills > r.kills
}

// leave tells what the command has left running, which is watched from now on.
// Its end is an end of the plugin again.
func (r *room) leave() (life uint64, left []plugin.Process) {
	if r.of == nil {
		return 0, nil
	}
	t := r.tracker
	if !r.stays {
		t.mu.Lock()
		defer t.mu.Unlock()
		r.of.askers--
		return 0, nil
	}
	t.reap()                 // a zombie would pass for alive
	const few, most = 3, 100 // looks; a list of processes may miss one that is just being forked
	for i := 0; ; i++ {
		// While a process is executing another program, nobody can tell whose it
		// is. Asked first: what hid then may be seen now.
		hidden := t.tree == nil && executing()
		if life, left, sure := r.settle(t.tree != nil || i >= few && !hidden || i == most); sure {
			return life, left
		}
		time.Sleep(firstLook)
	}
}

// settle looks for what the command has left. Unless it is to be the last look,
// finding nothing is not sure.
func (r *room) settle(last bool) (life uint64, left []plugin.Process, sure bool) {
	t, at := r.tracker, time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	live, err := t.find(r.of, true, at)
	if err == nil && len(live) == 0 && !last {
		return 0, nil, false
	}
	r.of.verbs--
	return t.settle(r.of, live, err), live, true
}

// settle takes note of what runs of a plugin after a command of it has ended,
// and tells which life that is.
func (t *Tracker) settle(tr *tracked, live []plugin.Process, err error) (life uint64) {
	switch {
	case errors.Is(err, errFleeting):
		t.lookAgain(tr, firstLook)
	case err != nil:
		t.warnOnce(tr, err, "Processes of plugin cannot be listed")
		t.lookAgain(tr, lookBlind)
	case tr.verbs > 0: // another is still running
	case len(live) > 0:
		tr.life++
		tr.alive = true
		if tr.leaf != nil {
			tr.kills, _ = tr.leaf.OOMKills()
		}
		tr.looked = time.Time{}
		t.watch(tr, live)
	case tr.alive:
		t.ended(tr, time.Now())
	}
	return tr.life
}
