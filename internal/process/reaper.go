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

// reapWithin is the time over which exits of children are collected before they are reaped. Watched
// processes are reaped at once.
const reapWithin = 20 * time.Millisecond

// reapBehind is the longest time for which an exited command that is not reaped may hide other
// children from the reaper. After it, all children are checked one by one.
const reapBehind = time.Second

// Subreap makes this process the parent of the orphans of its children, and reaps them (EV-03).
// From then on all children of this process must be started by a Runner with this Tracker, because
// others would be reaped too. It lasts until Close.
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
	var since time.Time // since when a command hides others; zero: none does
	for {
		var again <-chan time.Time
		switch hidden := t.reapChildren(); { // also children that exited before
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
		case <-t.unhidden:
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

// reapChildren reaps the children that have exited and are not running commands. Each command is waited for
// separately. The kernel returns an exited command before other children until it is reaped. Then
// hidden is true, and reapChildren has to be called again after the command is reaped.
func (t *Tracker) reapChildren() (hidden bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hidden = false
	for {
		pid, ended := nextExited()
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

// wakeReaper wakes the reaper after a command was reaped that may have hidden other children. mu must
// be held.
func (t *Tracker) wakeReaper() {
	if t.hidden {
		select {
		case t.unhidden <- struct{}{}:
		default:
		}
	}
}

// reapEach checks each child. It is used when an exited command is not reaped for long, because
// other processes of the command do not exit.
func (t *Tracker) reapEach() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, pid := range listChildren() {
		t.reapOne(pid)
	}
}

// nextExited returns a child that has exited and is not reaped.
func nextExited() (pid int, ended bool) {
	var info unix.Siginfo
	err := ignoringEINTR(func() error {
		return unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	})
	if err != nil || info.Signo == 0 {
		return 0, false
	}
	return int((*childInfo)(unsafe.Pointer(&info)).pid), true
}

// isCommand reports whether the process is a command, running or being started. The kernel stores
// the pid of a command before it runs.
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
		m.status, m.known = status, true // its exit is reported by its descriptor
	}
	return true
}

// listChildren returns the children of this process, zombies included. The kernel lists them by the
// thread that started them, and adopted children with the first thread.
func listChildren() []int {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(lists) == 0 { // the kernel has no such lists
		return listChildrenByParent()
	}
	var all []int
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			continue // this thread has exited, its children have moved to another
		}
		for word := range bytes.FieldsSeq(b) {
			if pid, err := strconv.Atoi(string(word)); err == nil {
				all = append(all, pid)
			}
		}
	}
	return all
}

func listChildrenByParent() []int {
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
