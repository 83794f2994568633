package process

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/procfs"
)

// child is the first process of a group that we started. Its methods are not safe for concurrent
// use.
type child struct {
	group
	scope  *commandScope
	pid    int
	path   string
	exited chan struct{} // closed when it has exited; it is a zombie until it is reaped
	err    error         // of waiting for it; set before ended is closed
	reaped bool
}

// busyFor is the time for which a start is retried while the executable is open for writing. This
// process may have just written it, and another goroutine's fork may hold that descriptor until its
// exec.
const busyFor = 100 * time.Millisecond

// startCommand runs the command in its scope, with out as its standard output and error. It sets no
// parent-death signal: what the command starts may outlive this process (RS-10). If cut is closed
// before the executable runs, the process is killed. A process that ignores this is not waited for
// (EV-24).
func startCommand(cut <-chan struct{}, c Command, r *commandScope, out uintptr) (*child, error) {
	p, err := tryStart(cut, c, r, out)
	for pause := time.Millisecond; errors.Is(err, syscall.ETXTBSY) && pause < busyFor; pause *= 2 {
		time.Sleep(pause)
		p, err = tryStart(cut, c, r, out)
	}
	return p, err
}

// killedWithin is the time in which a process has to exit that was killed before its executable
// ran. A process in uninterruptible sleep is left behind after it.
const killedWithin = time.Second

func tryStart(cut <-chan struct{}, c Command, r *commandScope, out uintptr) (*child, error) {
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
		defer f.closeStreams()
		pid, err := r.startProcess(f)
		done <- result{pid, err}
	}()
	select {
	case got := <-done:
		done <- got
	case <-cut:
	}
	if len(done) > 0 { // the result may have come together with cut
		got := <-done
		if got.err != nil {
			return nil, got.err
		}
		return newChild(c, r, got.pid), nil
	}
	f.killBeforeExec()
	discard := func(got result) {
		if got.err == nil {
			p := newChild(c, r, got.pid)
			p.signalGroup(syscall.SIGKILL)
			_, _ = p.reapStatus() // the start was given up, its status is not needed
		}
	}
	select {
	case got := <-done:
		discard(got)
	case <-time.After(killedWithin):
		go func() { discard(<-done) }()
	}
	return nil, errExecHung
}

func newChild(c Command, r *commandScope, pid int) *child {
	p := &child{group: group{id: pid}, scope: r, pid: pid, path: c.Path, exited: make(chan struct{})}
	go p.awaitExit()
	return p
}

// awaitExit waits until the child exits, and leaves it as a zombie. The zombie keeps the group ID
// reserved.
func (p *child) awaitExit() {
	defer close(p.exited)
	p.err = ignoringEINTR(func() error {
		return unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
	})
}

// isGone reports whether no process of the child is alive, in its group and its scope.
func (p *child) isGone() bool { return p.isEmpty() && len(p.scope.listLeft()) == 0 }

// hasExited reports whether the child has exited.
func (p *child) hasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// signalGroup sends sig to the whole group, and to the child if it has moved to another group. It does
// nothing once the pid may belong to another process.
func (p *child) signalGroup(sig syscall.Signal) {
	if p.reaped || p.hasExited() && p.err != nil {
		return
	}
	// ESRCH cannot happen. After EPERM there is nothing to do but wait.
	_ = syscall.Kill(-p.id, sig)
	if id, err := syscall.Getpgid(p.pid); err == nil && id != p.id {
		_ = syscall.Kill(p.pid, sig) // only once: some programs treat a second SIGTERM as "exit now"
	}
}

// signalScope sends sig to the processes of the scope that have left the group.
func (p *child) signalScope(sig syscall.Signal) {
	for _, left := range p.scope.listLeft() {
		if id, err := syscall.Getpgid(left.PID); err == nil && id != p.id && left.PID != p.pid {
			_ = signalProcess(left, sig)
		}
	}
}

// reapStatus waits for the child and returns its status. After it, the pid may be reused.
func (p *child) reapStatus() (syscall.WaitStatus, error) {
	<-p.exited
	p.bornBy = procfs.BootTicks()
	p.reaped = true
	defer p.scope.markReaped(p.pid)
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
