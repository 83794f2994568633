package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// reapWithin is for how long the ends of children are gathered before they are
// reaped. Those of processes that are watched are reaped at once.
const reapWithin = 20 * time.Millisecond

// Subreap makes this process the parent of what its children leave behind, and
// reaps it (EV-03). From then on all children of the process have to be started
// by a Runner with this Tracker: another's would be reaped too. It lasts until
// Close.
func (t *Tracker) Subreap() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	go func() {
		defer signal.Stop(died)
		for {
			t.reap() // also what ended before
			select {
			case <-died:
			case <-t.closed:
				return
			}
			select {
			case <-time.After(reapWithin):
			case <-t.closed:
				return
			}
		}
	}()
	return nil
}

// reap reaps every child that has ended and is no running command: those have
// somebody who waits for them.
func (t *Tracker) reap() {
	t.forks.Lock() // what is being forked is a command, but not known as one yet
	defer t.forks.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, pid := range children() {
		if t.commands[pid] > 0 {
			continue
		}
		var status syscall.WaitStatus
		reaped, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		if err != nil || reaped != pid {
			continue
		}
		if m, ok := t.members[pid]; ok {
			m.status, m.known = status, true // its end is told by its descriptor
		}
	}
}

// children are our own, zombies included, or what of them can be seen.
func children() []int {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	var all []int
	for _, task := range tasks {
		b, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		switch {
		case errors.Is(err, os.ErrNotExist) && task.Name() == strconv.Itoa(os.Getpid()):
			return childrenByParent() // a kernel without these lists
		case err != nil:
			continue
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
	pids, err := processes()
	if err != nil {
		return nil
	}
	var all []int
	for _, pid := range pids {
		if s, err := readStat(pid); err == nil && s.parent == os.Getpid() {
			all = append(all, pid)
		}
	}
	return all
}
