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
	// watchedMost is how many processes of a plugin are watched, the eldest
	// first: when all of them have ended, it is looked for others.
	watchedMost = 8
	// lookPause is the least time between two such looks at a plugin whose
	// processes come and go.
	lookPause = 10 * time.Millisecond
	// lookBlind is when a plugin is looked at again whose processes the kernel
	// will not tell of, for want of descriptors for example.
	lookBlind = 10 * time.Second
)

// look finds what runs of a plugin, watches it, and tells of its end. Called
// with mu held; at is the time of what led to it, or when mu was asked for.
func (t *Tracker) look(tr *tracked, at time.Time) ([]plugin.Process, error) {
	live, err := t.find(tr, tr.alive, at)
	switch {
	case errors.Is(err, errFleeting):
		t.lookAgain(tr, firstLook)
	case err != nil:
		t.warnOnce(tr, err, "Processes of plugin cannot be listed")
		t.lookAgain(tr, lookBlind)
	case tr.verbs > 0: // what they leave is seen at their end
	case len(live) > 0:
		tr.empty = time.Time{}
		if !tr.alive {
			tr.alive = true
			tr.life++
		}
		t.watch(tr, live)
	case tr.alive && (t.tree == nil || tr.outside) && tr.empty.IsZero():
		tr.empty = at // a list of all processes may miss one that is just being started
		t.lookAgain(tr, firstLook)
	case tr.alive:
		if !tr.empty.IsZero() {
			at = tr.empty
		}
		t.ended(tr, at)
	}
	return live, err
}

// lookAgain has a plugin looked at later.
func (t *Tracker) lookAgain(tr *tracked, after time.Duration) {
	if tr.again != nil {
		tr.again.Stop()
	}
	tr.again = time.AfterFunc(after, func() {
		at := time.Now()
		t.mu.Lock()
		defer t.mu.Unlock()
		if !t.isClosed() {
			_, _ = t.look(tr, at) // it has dealt with the error
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

// find lists what lives of a plugin, the eldest first: what is in its leaf,
// what is watched of it wherever that has gone, and if that is nothing, what
// is known by its PLUGIN_DIR or executable, if strays are to be looked for. What
// was so at that time or later is found. What is in the leaf was started by us.
func (t *Tracker) find(tr *tracked, strays bool, at time.Time) ([]plugin.Process, error) {
	live, err := t.inLeaf(tr)
	if err != nil {
		return nil, err
	}
	tr.outside = tr.outside && len(live) == 0
	for _, m := range tr.watched {
		if !slices.Contains(live, m.Process) && slices.Contains(t.living([]int{m.PID}), m.Process) {
			live = append(live, m.Process)
		}
	}
	if strays && (t.tree == nil || len(live) == 0) {
		for _, p := range t.strays(tr, at) {
			if !slices.Contains(live, p) {
				live = append(live, p)
			}
		}
	}
	slices.SortFunc(live, elder)
	return live, nil
}

// errFleeting says that processes follow each other so fast that none was seen
// alive: whether any is left is not sure.
var errFleeting = errors.New("processes come and go")

// inLeaf lists what lives in a plugin's leaf.
func (t *Tracker) inLeaf(tr *tracked) ([]plugin.Process, error) {
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
		if live := t.living(pids); len(live) > 0 {
			return live, nil
		}
	}
	return nil, errFleeting
}

// living are those of the processes that are alive.
func (t *Tracker) living(pids []int) []plugin.Process {
	var live []plugin.Process
	for _, pid := range pids {
		s, err := procfs.ReadStat(pid)
		if err != nil || !s.Live() {
			continue
		}
		live = append(live, plugin.Process{PID: pid, Born: s.Born, Boot: t.boot})
	}
	return live
}

func elder(a, b plugin.Process) int {
	return cmp.Or(cmp.Compare(a.Born, b.Born), cmp.Compare(a.PID, b.PID))
}

// watch has the kernel tell of the ends of a plugin's processes: of those that
// are listed, unless some are watched already.
func (t *Tracker) watch(tr *tracked, live []plugin.Process) {
	if len(tr.watched) > 0 {
		return
	}
	now := time.Now()
	if now.Sub(tr.looked) < lookPause {
		t.lookAgain(tr, lookPause)
		return
	}
	tr.looked = now
	tr.unwatched = false
	for _, p := range live[:min(len(live), t.descriptors.perPlugin())] {
		if err := t.join(tr, p); err != nil {
			t.cannotWatch(tr, err)
			t.lookAgain(tr, lookBlind)
			return
		}
	}
	if len(tr.watched) == 0 { // all of them have ended meanwhile
		t.lookAgain(tr, firstLook)
	}
}

// join makes a process a member. One that has ended meanwhile becomes none.
func (t *Tracker) join(tr *tracked, p plugin.Process) error {
	if m, ok := t.members[p.PID]; ok {
		if m.Process == p {
			return nil
		}
		t.fell(m, time.Now()) // and its number has passed to another
	}
	if !t.descriptors.take() {
		return errFull
	}
	fd, err := hold(p)
	if err == nil {
		if err = t.ends.add(fd); err != nil {
			err = errors.Join(err, unix.Close(fd))
		}
	}
	if err != nil {
		t.descriptors.giveBack()
		if errors.Is(err, syscall.ESRCH) {
			return nil
		}
		return err
	}
	m := &member{Process: p, of: tr, fd: fd}
	t.members[p.PID], t.byFD[fd] = m, m
	tr.watched = append(tr.watched, m)
	return nil
}

// cannotWatch notes that a process of a plugin could not be watched. That of
// all plugins for which no descriptor is left is logged once.
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

// warnOnce logs the first trouble with watching a plugin.
func (t *Tracker) warnOnce(tr *tracked, err error, what string) {
	if !tr.warned {
		tr.warned = true
		t.log.WithError(err).WithField("plugin", tr.name).Warn(what)
	}
}

// leave takes a member out of the watching, and leaves its descriptor open.
func (t *Tracker) leave(m *member) {
	t.ends.drop(m.fd)
	delete(t.members, m.PID)
	delete(t.byFD, m.fd)
	m.of.watched = slices.DeleteFunc(m.of.watched, func(other *member) bool { return other == m })
}

func (t *Tracker) drop(m *member) {
	t.leave(m)
	_ = unix.Close(m.fd)
	t.descriptors.giveBack()
}

// kill sends a signal to a process if it is still that one.
func kill(p plugin.Process, sig syscall.Signal) error {
	fd, err := hold(p)
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
