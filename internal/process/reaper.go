package process

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/procfs"
)

// reapWithin is for how long the ends of children are gathered before they are
// reaped. Those of processes that are watched are reaped at once.
const reapWithin = 20 * time.Millisecond

// reapBehind is how long a command that has ended and is not reaped may hide
// other children from the reaper. Then all are asked one by one.
const reapBehind = time.Second

// Subreap makes this process the parent of what its children leave behind, and
// reaps it (EV-03). From then on all children of the process have to be started
// by a Runner with this Tracker: another's would be reaped too. It lasts until
// Close.
func (t *Tracker) Subreap() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	t.mu.Lock()
	t.reaping = true
	t.mu.Unlock()
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	go func() {
		defer signal.Stop(died)
		t.reapUntilClosed(died)
	}()
	return nil
}

func (t *Tracker) reapUntilClosed(died <-chan os.Signal) {
	var since time.Time // when a command was in the way; zero: none is
	for {
		var again <-chan time.Time
		switch hidden := t.reap(); { // also what ended before
		case !hidden:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= reapBehind:
			t.reapEach()
			since = time.Now()
		}
		if !since.IsZero() {
			again = time.After(reapBehind)
		}
		select {
		case <-died:
		case <-t.cleared:
		case <-again:
		case <-t.closed:
			return
		}
		select {
		case <-time.After(reapWithin):
		case <-t.closed:
			return
		}
	}
}

// reap reaps the children that have ended and are no running command: these are
// waited for by themselves. The kernel names a command that has ended before
// others, again and again, until that is reaped: then hidden is true, and reap
// is to be called again when the command is reaped.
func (t *Tracker) reap() (hidden bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hidden = false
	for {
		pid, ended := nextEnded()
		if !ended {
			return false
		}
		if t.isCommand(pid) {
			t.hidden = true
			return true
		}
		if !t.reapOne(pid) {
			return false
		}
	}
}

// uncover has the reaper look again for what a command, which is reaped now,
// may have hidden from it. Called with mu held.
func (t *Tracker) uncover() {
	if t.hidden {
		select {
		case t.cleared <- struct{}{}:
		default:
		}
	}
}

// reapEach asks each child: a command that has ended is not reaped for long,
// as something of it does not end.
func (t *Tracker) reapEach() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, pid := range children() {
		t.reapOne(pid)
	}
}

// nextEnded is a child that has ended and was not reaped.
func nextEnded() (pid int, ended bool) {
	var info unix.Siginfo
	err := ignoringEINTR(func() error {
		return unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	})
	if err != nil || info.Signo == 0 {
		return 0, false
	}
	return int((*childInfo)(unsafe.Pointer(&info)).pid), true
}

// isCommand reports whether the process is that of a command, or is being
// started as one: the kernel tells its pid before it runs.
func (t *Tracker) isCommand(pid int) bool {
	if t.commands[pid] > 0 {
		return true
	}
	for f := range t.forks {
		if f.start.PID() == pid {
			return true
		}
	}
	return false
}

// reapOne reaps a child that has ended and is no command, and reports whether it
// did: never without Subreap, as the child may belong to another package.
func (t *Tracker) reapOne(pid int) bool {
	if !t.reaping || t.isCommand(pid) {
		return false
	}
	var status syscall.WaitStatus
	reaped, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
	if err != nil || reaped != pid {
		return false
	}
	if m, ok := t.members[pid]; ok {
		m.status, m.known = status, true // its end is told by its descriptor
	}
	return true
}

// children returns our children, zombies included. The kernel lists them by the
// thread that started them; those that we inherited are with the first.
func children() []int {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(lists) == 0 { // a kernel without these lists
		return childrenByParent()
	}
	var all []int
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			continue // this thread has ended, its children are another's
		}
		for word := range bytes.FieldsSeq(b) {
			if pid, err := strconv.Atoi(string(word)); err == nil {
				all = append(all, pid)
			}
		}
	}
	return all
}

func childrenByParent() []int {
	pids, err := procfs.PIDs()
	if err != nil {
		return nil
	}
	var all []int
	for _, pid := range pids {
		if s, err := procfs.ReadStat(pid); err == nil && s.Parent == os.Getpid() {
			all = append(all, pid)
		}
	}
	return all
}
