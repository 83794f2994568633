package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/pause"
	"pluginsupervisor/plugin"
)

// Follow reports each exit of a plugin until ctx ends: the last of its processes has exited, and no
// command that could leave another one is running (EV-01). The cause is known at once for our
// children. For other processes it follows as soon as the kernel knows it, in a second Exit marked
// Late (EV-10). An Exit marked Partial is the exit of one process while others are alive (EV-23).
// Exits from before the call are reported first. The error says why exits cannot be reported any
// more.
func (t *Tracker) Follow(ctx context.Context, exited func(plugin.Exit)) error {
	following, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var ends sync.WaitGroup
	ends.Go(func() { cancel(t.followExits(following)) })
	for following.Err() == nil {
		for _, e := range t.takeQueue() {
			if t.output != nil && !e.Late { // the output of the run was reported with it before
				e.Output = t.output(e.Name)
			}
			exited(e)
		}
		select {
		case <-t.wake:
		case <-following.Done():
		}
	}
	ends.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(following)
}

// FollowLeaves watches the plugins' cgroups until ctx ends, in addition to Follow. It notices the
// exit of processes that cannot be watched one by one. The error says why it stopped; Follow does
// not depend on it.
func (t *Tracker) FollowLeaves(ctx context.Context) error {
	if t.tree == nil {
		<-ctx.Done()
		return nil
	}
	return t.tree.Follow(ctx, t.leafChanged)
}

// followExits handles the exits of members. It returns nil when ctx ends.
func (t *Tracker) followExits(ctx context.Context) error {
	if err := t.exits.file.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("follow processes: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = t.exits.file.SetReadDeadline(time.Unix(1, 0)) })()
	for ctx.Err() == nil {
		fds, err := t.exits.waitExited()
		if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow processes: %w", err)
		}
		t.handleExits(fds, time.Now())
	}
	return nil
}

func (t *Tracker) handleExits(fds []int, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fell := map[*tracked]bool{}
	for _, fd := range fds {
		if m, ok := t.byFD[fd]; ok {
			t.notePartial(m, at)
			t.recordExit(m, at)
			fell[m.plugin] = true
		}
	}
	for tr := range fell {
		if len(tr.watched) == 0 {
			_, _ = t.inspect(tr, at) // inspect has handled the error
		}
	}
}

// leafChanged handles the event that a leaf may have become empty or populated.
func (t *Tracker) leafChanged(name string, populated bool) {
	at := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	tr := t.getTracked(name)
	if tr.leaf == nil && (!populated || !t.ensureLeaves(tr)) {
		return
	}
	_, _ = t.inspect(tr, at) // inspect has handled the error
}

// takeQueue empties the queue and returns its content.
func (t *Tracker) takeQueue() []plugin.Exit {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.queue
	t.queue = nil
	return all
}

func (t *Tracker) enqueueExit(e plugin.Exit) {
	t.queue = append(t.queue, e)
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// processExit describes how one process exited.
type processExit struct {
	plugin.Process
	at     time.Time
	status syscall.WaitStatus // valid if known
	known  bool
	fd     int // to query the kernel with; -1 if that is not needed
}

// recordExit records the exit of a member.
func (t *Tracker) recordExit(m *member, at time.Time) {
	t.removeMember(m)
	e := processExit{Process: m.Process, at: at, status: m.status, known: m.known, fd: m.fd}
	t.queryExit(&e)
	m.plugin.exits = append(m.plugin.exits, e)
	if len(m.plugin.exits) > maxWatched {
		t.closeDescriptor(&m.plugin.exits[0])
		m.plugin.exits = m.plugin.exits[1:]
	}
}

// queryExit queries the exit status of a process, unless it is known.
func (t *Tracker) queryExit(e *processExit) {
	if !e.known && e.fd >= 0 {
		e.status, e.known = reapByDescriptor(e.fd)
	}
	if !e.known && e.fd >= 0 {
		e.status, e.known = queryExitStatus(e.fd)
	}
	if e.known {
		t.closeDescriptor(e)
	}
}

// closeDescriptor closes the descriptor of an exited process.
func (t *Tracker) closeDescriptor(e *processExit) {
	if e.fd >= 0 {
		_ = unix.Close(e.fd)
		t.descriptors.release()
		e.fd = -1
	}
}

// sameCauseWithin is the longest time between exits of a plugin's processes that have one cause: workers
// exit because their master was killed.
const sameCauseWithin = time.Second

// reportPluginExit reports the exit of a plugin. The cause is that of the oldest process among those that
// exited last.
func (t *Tracker) reportPluginExit(tr *tracked, at time.Time) {
	tr.alive, tr.emptySince = false, time.Time{}
	for len(tr.watched) > 0 { // the kernel has not reported these yet
		t.recordExit(tr.watched[0], at)
	}
	e := plugin.Exit{Name: tr.name, RunID: tr.runID, At: at, External: tr.outside}
	tr.outside = false
	cause := tr.findCause(at)
	if cause != nil {
		e.PID = cause.PID
		setCause(&e, cause.status, cause.known)
	}
	if tr.leaf != nil {
		if kills, known := tr.leaf.OOMKills(); known {
			e.OOM = kills > tr.oomKills
			tr.oomKills = kills
		}
	}
	t.enqueueExit(e)
	if cause != nil && !cause.known {
		ask := *cause
		cause.fd = -1
		go t.retryExitQuery(e, ask)
	}
	t.discardExits(tr)
}

// findCause returns the process exit that explains the exit of all, nil if none was seen.
func (tr *tracked) findCause(at time.Time) *processExit {
	var first *processExit
	for i := range tr.exits {
		if e := &tr.exits[i]; at.Sub(e.at) <= sameCauseWithin && (first == nil || compareAge(e.Process, first.Process) < 0) {
			first = e
		}
	}
	return first
}

func (t *Tracker) discardExits(tr *tracked) {
	for i := range tr.exits {
		t.closeDescriptor(&tr.exits[i])
	}
	tr.exits = nil
}

// setCause sets the cause in e from a wait status.
func setCause(e *plugin.Exit, status syscall.WaitStatus, known bool) {
	e.CauseKnown = known
	switch {
	case !known:
	case status.Signaled():
		if e.Signal = unix.SignalName(status.Signal()); e.Signal == "" {
			e.Signal = fmt.Sprintf("signal %d", status.Signal())
		}
	default:
		e.Code = status.ExitStatus()
	}
}

// exitQueryTimeout is the time for which the kernel is queried for the exit status of a process that is not
// our child. Its parent has to reap it first (EV-10), and some init processes do that every 2 s.
const exitQueryTimeout = 3 * time.Second

// retryExitQuery reports the exit once more when its cause is known.
func (t *Tracker) retryExitQuery(e plugin.Exit, cause processExit) {
	defer t.closeDescriptor(&cause)
	over := time.After(exitQueryTimeout)
	for pauses := pause.NewDoubling(minPoll, maxPoll); ; {
		select {
		case <-time.After(pauses.Next()):
		case <-over:
			return
		case <-t.closed:
			return
		}
		if status, known := queryExitStatus(cause.fd); known {
			setCause(&e, status, true)
			e.Late = true
			t.mu.Lock()
			t.enqueueExit(e)
			t.mu.Unlock()
			return
		}
	}
}
