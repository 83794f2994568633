package process

import (
	"cmp"
	"errors"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

const (
	// maxWatched is the maximum of watched processes of a plugin, the oldest first. When all of
	// them have exited, the tracker looks for others.
	maxWatched = 8
	// minInspectGap is the shortest time between two such inspections of a plugin whose processes come
	// and go.
	minInspectGap = 10 * time.Millisecond
	// blindRecheckAfter is the time until the next inspection of a plugin whose processes the kernel cannot
	// report, because descriptors are missing for example.
	blindRecheckAfter = 10 * time.Second
)

// inspect finds the processes of a plugin, watches them, and reports its exit. mu must be held. at is
// the time of the event that led to the call, or the time before mu was locked.
func (t *Tracker) inspect(tr *tracked, at time.Time) ([]plugin.Process, error) {
	live, err := t.findProcesses(tr, tr.alive, at)
	switch {
	case errors.Is(err, errFleeting):
		t.inspectLater(tr, minPoll)
	case err != nil:
		t.warnOnce(tr, err, "Processes of plugin cannot be listed")
		t.inspectLater(tr, blindRecheckAfter)
	case tr.daemonCommands > 0: // checked when they exit
	case len(live) > 0:
		tr.emptySince = time.Time{}
		if !tr.alive {
			tr.alive = true
			tr.runID++
		}
		t.watchProcesses(tr, live)
	case tr.alive && (t.tree == nil || tr.outside) && tr.emptySince.IsZero():
		tr.emptySince = at // the list may miss a process that is just being started
		t.inspectLater(tr, minPoll)
	case tr.alive:
		if !tr.emptySince.IsZero() {
			at = tr.emptySince
		}
		t.reportPluginExit(tr, at)
	}
	return live, err
}

// inspectLater schedules another inspection of a plugin.
func (t *Tracker) inspectLater(tr *tracked, after time.Duration) {
	if tr.nextInspection != nil {
		tr.nextInspection.Stop()
	}
	tr.nextInspection = time.AfterFunc(after, func() {
		at := time.Now()
		t.mu.Lock()
		defer t.mu.Unlock()
		if !t.isClosed() {
			_, _ = t.inspect(tr, at) // inspect has handled the error
		}
	})
}

func (t *Tracker) isClosed() bool {
	select {
	case <-t.closed:
		return true
	default:
		return false
	}
}

// findProcesses lists the live processes of a plugin, the oldest first: those in its leaf, and those that
// are watched and have left it. If there are none and strays is set, it adds those that are known
// by their PLUGIN_DIR or executable. The result is not older than at. What is in the leaf was
// started by us.
func (t *Tracker) findProcesses(tr *tracked, strays bool, at time.Time) ([]plugin.Process, error) {
	live, err := t.listLeaf(tr)
	if err != nil {
		return nil, err
	}
	tr.outside = tr.outside && len(live) == 0
	for _, m := range tr.watched {
		if !slices.Contains(live, m.Process) && slices.Contains(t.filterLive([]int{m.PID}), m.Process) {
			live = append(live, m.Process)
		}
	}
	if strays && (t.tree == nil || len(live) == 0) {
		for _, p := range t.findStrays(tr, at) {
			if !slices.Contains(live, p) {
				live = append(live, p)
			}
		}
	}
	slices.SortFunc(live, compareAge)
	return live, nil
}

// errFleeting means that processes replace each other so fast that none was seen alive. Whether one
// is left is not known.
var errFleeting = errors.New("processes come and go")

// listLeaf returns the live processes in a plugin's leaf.
func (t *Tracker) listLeaf(tr *tracked) ([]plugin.Process, error) {
	if tr.leaf == nil {
		return nil, nil
	}
	const tries = 5
	for range tries {
		if populated, err := tr.leaf.Populated(); err != nil || !populated {
			return nil, err
		}
		pids, err := tr.leaf.Procs()
		if err != nil {
			return nil, err
		}
		if live := t.filterLive(pids); len(live) > 0 {
			return live, nil
		}
	}
	return nil, errFleeting
}

// filterLive returns the live ones among the pids.
func (t *Tracker) filterLive(pids []int) []plugin.Process {
	var live []plugin.Process
	for _, pid := range pids {
		s, err := procfs.ReadStat(pid)
		if err != nil || !s.Live() {
			continue
		}
		live = append(live, plugin.Process{PID: pid, StartTicks: s.Born, BootID: t.boot})
	}
	return live
}

func compareAge(a, b plugin.Process) int {
	return cmp.Or(cmp.Compare(a.StartTicks, b.StartTicks), cmp.Compare(a.PID, b.PID))
}

// watchProcesses starts to watch the listed processes of a plugin, unless some are watched already.
func (t *Tracker) watchProcesses(tr *tracked, live []plugin.Process) {
	if len(tr.watched) > 0 {
		return
	}
	now := time.Now()
	if now.Sub(tr.lastSearch) < minInspectGap {
		t.inspectLater(tr, minInspectGap)
		return
	}
	tr.lastSearch = now
	tr.unwatched = false
	for _, p := range live[:min(len(live), t.descriptors.watchLimit())] {
		if err := t.addMember(tr, p); err != nil {
			t.cannotWatch(tr, err)
			t.inspectLater(tr, blindRecheckAfter)
			return
		}
	}
	if len(tr.watched) == 0 { // all of them have exited meanwhile
		t.inspectLater(tr, minPoll)
	}
}

// addMember makes a process a watched member, unless it has exited meanwhile.
func (t *Tracker) addMember(tr *tracked, p plugin.Process) error {
	if m, ok := t.members[p.PID]; ok {
		if m.Process == p {
			return nil
		}
		t.recordExit(m, time.Now()) // its pid was reused
	}
	if !t.descriptors.reserve() {
		return errFull
	}
	fd, err := openPidfd(p)
	if err == nil {
		if err = t.exits.addDescriptor(fd); err != nil {
			err = errors.Join(err, unix.Close(fd))
		}
	}
	if err != nil {
		t.descriptors.release()
		if errors.Is(err, syscall.ESRCH) {
			return nil
		}
		return err
	}
	m := &member{Process: p, plugin: tr, fd: fd}
	t.members[p.PID], t.byFD[fd] = m, m
	tr.watched = append(tr.watched, m)
	return nil
}

// cannotWatch records that a process of a plugin could not be watched. The lack of descriptors is
// logged once for all plugins.
func (t *Tracker) cannotWatch(tr *tracked, err error) {
	if !errors.Is(err, errFull) && !errors.Is(err, syscall.EMFILE) {
		t.warnOnce(tr, err, "Process of plugin cannot be watched")
		return
	}
	tr.unwatched = true
	if t.fullSince.IsZero() {
		t.fullSince = time.Now()
		t.log.WithError(err).WithField("limit", t.descriptors.most+keptDescriptors).Warn("Some plugins are watched by scan only")
	}
}

// warnOnce logs the first problem with watching a plugin.
func (t *Tracker) warnOnce(tr *tracked, err error, what string) {
	if !tr.warned {
		tr.warned = true
		t.log.WithError(err).WithField("plugin", tr.name).Warn(what)
	}
}

// removeMember stops watching a member, and leaves its descriptor open.
func (t *Tracker) removeMember(m *member) {
	t.exits.remove(m.fd)
	delete(t.members, m.PID)
	delete(t.byFD, m.fd)
	m.plugin.watched = slices.DeleteFunc(m.plugin.watched, func(other *member) bool { return other == m })
}

func (t *Tracker) closeMember(m *member) {
	t.removeMember(m)
	_ = unix.Close(m.fd)
	t.descriptors.release()
}

// signalProcess sends a signal to a process if its pid was not reused.
func signalProcess(p plugin.Process, sig syscall.Signal) error {
	fd, err := openPidfd(p)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
