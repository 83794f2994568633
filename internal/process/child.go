package process

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/procfs"
)

// child is a process we started, the first of its group. Its methods are for
// one goroutine.
type child struct {
	group
	room   *room
	pid    int
	path   string
	ended  chan struct{} // closed when it has ended; it is a zombie until reap
	err    error         // of waiting for it; set before ended is closed
	reaped bool
}

// busyFor is how long a start is tried again when the executable is open for
// writing: another goroutine's fork may hold, until its exec, the descriptor
// through which this process has just written it.
const busyFor = 100 * time.Millisecond

// start runs the command in its room, with out as its standard output and
// error. There is no parent-death signal: what it starts may outlive us
// (RS-10). Where the executable does not begin to run before cut is closed, the
// process is killed, and not waited for if that has no effect (EV-24).
func start(cut <-chan struct{}, c Command, r *room, out uintptr) (*child, error) {
	p, err := startOnce(cut, c, r, out)
	for pause := time.Millisecond; errors.Is(err, syscall.ETXTBSY) && pause < busyFor; pause *= 2 {
		time.Sleep(pause)
		p, err = startOnce(cut, c, r, out)
	}
	return p, err
}

// killedWithin is how long a process that was killed before its executable
// began to run has to be gone. One in an uninterruptible sleep is left.
const killedWithin = time.Second

func startOnce(cut <-chan struct{}, c Command, r *room, out uintptr) (*child, error) {
	f, err := newFork(c, out)
	if err != nil {
		return nil, err
	}
	type result struct {
		pid int
		err error
	}
	done := make(chan result, 1)
	go func() {
		defer f.close()
		pid, err := r.fork(f)
		done <- result{pid, err}
	}()
	select {
	case got := <-done:
		done <- got
	case <-cut:
	}
	if len(done) > 0 { // also at the same moment
		got := <-done
		if got.err != nil {
			return nil, got.err
		}
		return newChild(c, r, got.pid), nil
	}
	f.kill()
	discard := func(got result) {
		if got.err == nil {
			p := newChild(c, r, got.pid)
			p.signal(syscall.SIGKILL)
			_, _ = p.reap() // it was given up
		}
	}
	select {
	case got := <-done:
		discard(got)
	case <-time.After(killedWithin):
		go func() { discard(<-done) }()
	}
	return nil, errHung
}

func newChild(c Command, r *room, pid int) *child {
	p := &child{group: group{id: pid}, room: r, pid: pid, path: c.Path, ended: make(chan struct{})}
	go p.await()
	return p
}

// await waits for the end of the child and leaves the zombie, which keeps the
// number of the group ours.
func (p *child) await() {
	defer close(p.ended)
	p.err = ignoringEINTR(func() error {
		return unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
	})
}

// gone tells whether nothing of the child lives, in its group or its room.
func (p *child) gone() bool { return p.empty() && len(p.room.rest()) == 0 }

// hasEnded tells whether the child has ended.
func (p *child) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// signal sends to the whole group, and to the child itself in case it has
// moved to another. It does nothing once the number may be somebody else's.
func (p *child) signal(sig syscall.Signal) {
	if p.reaped || p.hasEnded() && p.err != nil {
		return
	}
	// ESRCH cannot happen, EPERM cannot be helped: what stays is waited for.
	_ = syscall.Kill(-p.id, sig)
	if id, err := syscall.Getpgid(p.pid); err == nil && id != p.id {
		_ = syscall.Kill(p.pid, sig) // not twice: some programs take a second SIGTERM as an order to drop everything
	}
}

// signalRest sends to what has left the group but is in the room.
func (p *child) signalRest(sig syscall.Signal) {
	for _, left := range p.room.rest() {
		if id, err := syscall.Getpgid(left.PID); err == nil && id != p.id && left.PID != p.pid {
			_ = kill(left, sig)
		}
	}
}

// reap takes the ended child's status. From now on its number is free.
func (p *child) reap() (syscall.WaitStatus, error) {
	<-p.ended
	p.bornBy = procfs.BootTicks()
	p.reaped = true
	defer p.room.reaped(p.pid)
	if p.err != nil {
		return 0, fmt.Errorf("wait for process %d: %w", p.pid, p.err)
	}
	var status syscall.WaitStatus
	err := ignoringEINTR(func() error {
		_, err := syscall.Wait4(p.pid, &status, 0, nil)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("reap process %d: %w", p.pid, err)
	}
	return status, nil
}

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
