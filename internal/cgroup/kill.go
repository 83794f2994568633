package cgroup

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// maxKillPasses is the number of passes over a leaf before cgroup.kill is used.
// Two are enough except for a fork bomb.
const maxKillPasses = 100

// Kill kills every process in the leaf and below it, including those being forked.
// It does not wait for their exit.
//
// It kills them one by one if possible, because cgroup.kill has a flaw: since Linux
// 6.14, and in later releases of older kernels, every process that is forked into
// the cgroup from outside afterwards is killed too, as long as the cgroup exists.
func (l *Leaf) Kill() error {
	err := l.killOneByOne()
	if err != nil {
		if whole := l.killAtOnce(); whole == nil {
			return nil
		}
		return fmt.Errorf("kill cgroup: %w", err)
	}
	return nil
}

// killAtOnce uses cgroup.kill, which exists since Linux 5.14. The next Fork
// recreates the leaf.
func (l *Leaf) killAtOnce() error {
	defer l.tree.markStale(l)
	return writeControl(l.Dir(), "cgroup.kill", "1")
}

// killOneByOne kills until all processes in the leaf have been signalled: then none
// can fork any more.
func (l *Leaf) killOneByOne() error {
	killed := map[int]bool{}
	for range maxKillPasses {
		listed, err := l.Procs()
		if err != nil {
			return err
		}
		listed = slices.DeleteFunc(listed, func(pid int) bool { return killed[pid] })
		if len(listed) == 0 {
			return nil
		}
		if err := l.killHeld(listed, killed); err != nil {
			return err
		}
	}
	return errors.New("its processes fork faster than they can be killed")
}

// killHeld opens a pidfd for each listed process, and kills those that are still in
// the leaf then. So it never kills another process that got the same pid.
func (l *Leaf) killHeld(listed []int, killed map[int]bool) error {
	held := map[int]int{}
	defer func() {
		for _, fd := range held {
			_ = unix.Close(fd)
		}
	}()
	for _, pid := range listed {
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			return fmt.Errorf("open process %d: %w", pid, err)
		}
		held[pid] = fd
	}
	there, err := l.Procs()
	if err != nil {
		return err
	}
	for _, pid := range there {
		fd, ok := held[pid]
		if !ok {
			continue
		}
		if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill process %d: %w", pid, err)
		}
		killed[pid] = true
	}
	return nil
}
