package cgroup

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// killRounds is how often a leaf is gone through before it is killed whole.
// Two rounds are enough for all but a fork bomb.
const killRounds = 100

// Kill kills every process in the leaf and below it, those being forked
// included. It does not wait for their end.
//
// They are killed one by one as long as that will do. The kernel's way to kill
// them at once has a flaw: since Linux 6.14, and in later releases of older
// ones, what is forked into a cgroup from outside after its cgroup.kill was
// used is killed too, for as long as the cgroup is there.
func (l *Leaf) Kill() error {
	err := l.killEach()
	if err != nil {
		if whole := l.killWhole(); whole == nil {
			return nil
		}
		return fmt.Errorf("kill cgroup: %w", err)
	}
	return nil
}

// killWhole uses cgroup.kill, which Linux has since 5.14. Fork makes the leaf
// anew afterwards.
func (l *Leaf) killWhole() error {
	defer l.tree.stale(l)
	return write(l.Dir(), "cgroup.kill", "1")
}

// killEach is done when all that are in the leaf have been signalled: none of
// them can fork any more.
func (l *Leaf) killEach() error {
	killed := map[int]bool{}
	for range killRounds {
		listed, err := l.Procs()
		if err != nil {
			return err
		}
		listed = slices.DeleteFunc(listed, func(pid int) bool { return killed[pid] })
		if len(listed) == 0 {
			return nil
		}
		if err := l.killSure(listed, killed); err != nil {
			return err
		}
	}
	return errors.New("its processes multiply faster than they can be killed")
}

// killSure kills those of the processes that are still in the leaf after a
// hold was taken of them, so that it cannot be a stranger who got the number
// since.
func (l *Leaf) killSure(listed []int, killed map[int]bool) error {
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
