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

// Follow reports each exit of a plugin, until ctx ends: when the last of its
// processes has exited and no command that could leave one is running (EV-01).
// How it exited is reported at once if it was our child, else as soon as the
// kernel knows, in a second Exit marked Late (EV-10). An Exit marked Partial is
// that of one process, while others live on (EV-23). What happened while Follow
// did not run is reported at first. The error says why no more can be reported.
func (t *Tracker) Follow(ctx context.Context, exited func(plugin.Exit)) error {
	following, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var ends sync.WaitGroup
	ends.Go(func() { cancel(t.followEnds(following)) })
	for following.Err() == nil {
		for _, e := range t.take() {
			if t.output != nil {
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

// FollowLeaves follows the plugins' cgroups beside Follow, until ctx ends: what
// cannot be watched one by one is noticed by it. The error says why it cannot go
// on; Follow needs nothing of it.
func (t *Tracker) FollowLeaves(ctx context.Context) error {
	if t.tree == nil {
		<-ctx.Done()
		return nil
	}
	return t.tree.Follow(ctx, t.leafChanged)
}

// followEnds handles the ends of members. It returns nil when ctx ends.
func (t *Tracker) followEnds(ctx context.Context) error {
	if err := t.ends.file.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("follow processes: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = t.ends.file.SetReadDeadline(time.Unix(1, 0)) })()
	for ctx.Err() == nil {
		fds, err := t.ends.wait()
		if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow processes: %w", err)
		}
		t.membersEnded(fds, time.Now())
	}
	return nil
}

func (t *Tracker) membersEnded(fds []int, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fell := map[*tracked]bool{}
	for _, fd := range fds {
		if m, ok := t.byFD[fd]; ok {
			t.notePartial(m, at)
			t.fell(m, at)
			fell[m.of] = true
		}
	}
	for tr := range fell {
		if len(tr.watched) == 0 {
			_, _ = t.look(tr, at) // it has dealt with the error
		}
	}
}

// leafChanged is told whenever a leaf may have become empty or not.
func (t *Tracker) leafChanged(name string, populated bool) {
	at := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	tr := t.get(name)
	if tr.leaf == nil && (!populated || !t.occupy(tr)) {
		return
	}
	_, _ = t.look(tr, at) // it has dealt with the error
}

// take empties the queue.
func (t *Tracker) take() []plugin.Exit {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.queue
	t.queue = nil
	return all
}

func (t *Tracker) tell(e plugin.Exit) {
	t.queue = append(t.queue, e)
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// ending is how one process ended.
type ending struct {
	plugin.Process
	at     time.Time
	status syscall.WaitStatus // if known
	known  bool
	fd     int // the kernel may still be asked; -1 if there is no need
}

// fell notes the end of a member.
func (t *Tracker) fell(m *member, at time.Time) {
	t.leave(m)
	e := ending{Process: m.Process, at: at, status: m.status, known: m.known, fd: m.fd}
	t.ask(&e)
	m.of.endings = append(m.of.endings, e)
	if len(m.of.endings) > watchedMost {
		t.close(&m.of.endings[0])
		m.of.endings = m.of.endings[1:]
	}
}

// ask asks the kernel how the process ended, unless that is known.
func (t *Tracker) ask(e *ending) {
	if !e.known && e.fd >= 0 {
		e.status, e.known = reapHeld(e.fd)
	}
	if !e.known && e.fd >= 0 {
		e.status, e.known = howEnded(e.fd)
	}
	if e.known {
		t.close(e)
	}
}

// close closes the descriptor of a process that has ended.
func (t *Tracker) close(e *ending) {
	if e.fd >= 0 {
		_ = unix.Close(e.fd)
		t.descriptors.giveBack()
		e.fd = -1
	}
}

// together is how far apart the ends of a plugin's processes may be that have
// one cause: a worker ends because its master was killed.
const together = time.Second

// ended tells of the end of a plugin: as the end of the eldest of those
// processes that ended last.
func (t *Tracker) ended(tr *tracked, at time.Time) {
	tr.alive, tr.empty = false, time.Time{}
	for len(tr.watched) > 0 { // which the kernel has not told of yet
		t.fell(tr.watched[0], at)
	}
	e := plugin.Exit{Name: tr.name, RunID: tr.life, At: at, External: tr.outside}
	tr.outside = false
	cause := tr.cause(at)
	if cause != nil {
		e.PID = cause.PID
		describe(&e, cause.status, cause.known)
	}
	if tr.leaf != nil {
		if kills, known := tr.leaf.OOMKills(); known {
			e.OOM = kills > tr.kills
			tr.kills = kills
		}
	}
	t.tell(e)
	if cause != nil && !cause.known {
		ask := *cause
		cause.fd = -1
		go t.askAgain(e, ask)
	}
	t.forget(tr)
}

// cause is the ending that explains the end of all; nil if none was seen.
func (tr *tracked) cause(at time.Time) *ending {
	var first *ending
	for i := range tr.endings {
		if e := &tr.endings[i]; at.Sub(e.at) <= together && (first == nil || elder(e.Process, first.Process) < 0) {
			first = e
		}
	}
	return first
}

func (t *Tracker) forget(tr *tracked) {
	for i := range tr.endings {
		t.close(&tr.endings[i])
	}
	tr.endings = nil
}

// describe says in the words of the domain how a process ended.
func describe(e *plugin.Exit, status syscall.WaitStatus, known bool) {
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

// askFor is for how long the kernel is asked again how a process ended that is
// not our child: its parent has to reap it first (EV-10). Some init processes
// do so every two seconds, and one round of theirs is to be waited for.
const askFor = 3 * time.Second

// askAgain tells of the exit once more when its cause is known.
func (t *Tracker) askAgain(e plugin.Exit, cause ending) {
	defer t.close(&cause)
	over := time.After(askFor)
	for pauses := pause.NewDoubling(firstLook, lastLook); ; {
		select {
		case <-time.After(pauses.Next()):
		case <-over:
			return
		case <-t.closed:
			return
		}
		if status, known := howEnded(cause.fd); known {
			describe(&e, status, true)
			e.Late = true
			t.mu.Lock()
			t.tell(e)
			t.mu.Unlock()
			return
		}
	}
}
