package cgroup

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Fork calls start, which must fork one process with CLONE_INTO_CGROUP into the
// cgroup of the descriptor fd. The process is in the leaf before its first
// instruction runs, and where limits are set in v1, also in those cgroups (EV-02,
// EV-17). If a v1 cgroup cannot be entered, the process starts without that limit,
// which is logged. Fork returns the error of start, or os.ErrNotExist if the leaf
// does not exist. start may be called on another goroutine, and must return.
func (l *Leaf) Fork(start func(fd int) error) error {
	if !cgroupExists(l.Dir()) {
		return fmt.Errorf("open cgroup %s: %w", l.Dir(), os.ErrNotExist)
	}
	l.tree.recreate(l)
	dir, err := os.OpenFile(l.Dir(), os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("open cgroup: %w", err)
	}
	defer dir.Close()
	fd := int(dir.Fd())
	limited := l.v1Hierarchies()
	if len(limited) == 0 {
		return start(fd)
	}
	runOnOwnThread(func() (clean bool) {
		back := l.enterCounterparts(limited)
		err = start(fd)
		return back()
	})
	return err
}

// v1Hierarchies returns the v1 hierarchies in which the leaf has a counterpart.
func (l *Leaf) v1Hierarchies() []hierarchy {
	var found []hierarchy
	for _, h := range l.tree.v1 {
		if dir, _ := l.v1(h.controller); cgroupExists(dir) {
			found = append(found, h)
		}
	}
	return found
}

// enterCounterparts moves the calling thread into the leaf's counterparts. back
// moves it to its previous cgroups, and reports whether that succeeded.
func (l *Leaf) enterCounterparts(limited []hierarchy) (back func() bool) {
	log := l.tree.log.WithField("plugin", l.name)
	home, err := readMembership("/proc/thread-self/cgroup")
	if err != nil {
		log.WithError(err).Warn("Plugin is started without its limits")
	}
	var left []string
	for _, h := range limited {
		from, ok := h.mount.dir(home[h.controller])
		if !ok {
			log.WithField("limit", h.controller).Warn("Plugin is started without a limit: its own thread could not leave the plugin's cgroup again")
			continue
		}
		to, _ := l.v1(h.controller)
		if err := writeControl(to, "tasks", "0"); err != nil { // 0: the thread that writes
			log.WithError(err).WithField("limit", h.controller).Warn("Plugin is started without a limit")
			continue
		}
		left = append(left, from)
	}
	return func() bool {
		clean := true
		for _, from := range left {
			if err := writeControl(from, "tasks", "0"); err != nil {
				log.WithError(err).Warn("A thread cannot leave the cgroup of a plugin, stopping the thread")
				clean = false
			}
		}
		return clean
	}
}

// runOnOwnThread runs f on a locked thread. If f returns false, the thread exits:
// the runtime stops the thread of a goroutine that returns without unlocking it.
//
// It never uses the first thread of the process. That one cannot exit, and the
// kernel charges all memory of the process to its cgroup: the supervisor would be
// under the plugin's memory limit for an instant and might be killed for it.
func runOnOwnThread(f func() (clean bool)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			runOnOwnThread(f) // gets another thread, because this one is locked
			runtime.UnlockOSThread()
			return
		}
		if f() {
			runtime.UnlockOSThread()
		}
	}()
	<-done
}
