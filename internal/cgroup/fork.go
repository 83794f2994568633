package cgroup

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Fork calls start, which is to fork one process with CLONE_INTO_CGROUP into the
// cgroup of the descriptor fd: it begins in the leaf, before its first
// instruction, and where limits are set in v1 also in those cgroups (EV-02,
// EV-17). If one of v1 cannot be entered the process is started without that
// limit, which is logged. The error is start's, or says that there is no such
// leaf. start may be called on another goroutine, and has to return.
func (l *Leaf) Fork(start func(fd int) error) error {
	if !exists(l.Dir()) {
		return fmt.Errorf("open cgroup %s: %w", l.Dir(), os.ErrNotExist)
	}
	l.tree.renew(l)
	dir, err := os.OpenFile(l.Dir(), os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("open cgroup: %w", err)
	}
	defer dir.Close()
	fd := int(dir.Fd())
	limited := l.limited()
	if len(limited) == 0 {
		return start(fd)
	}
	onThread(func() (clean bool) {
		back := l.enter(limited)
		err = start(fd)
		return back()
	})
	return err
}

// limited are the v1 hierarchies in which the leaf has a counterpart.
func (l *Leaf) limited() []hierarchy {
	var found []hierarchy
	for _, h := range l.tree.v1 {
		if dir, _ := l.v1(h.controller); exists(dir) {
			found = append(found, h)
		}
	}
	return found
}

// enter moves the calling thread into the leaf's counterparts. back moves it
// to where it was, and tells whether it is there.
func (l *Leaf) enter(limited []hierarchy) (back func() bool) {
	log := l.tree.log.WithField("plugin", l.name)
	home, err := readMembership("/proc/thread-self/cgroup")
	if err != nil {
		log.WithError(err).Warn("Plugin is started without its limits")
	}
	var left []string
	for _, h := range limited {
		from, ok := h.mount.dir(home[h.controller])
		if !ok {
			log.WithField("limit", h.controller).Warn("Plugin is started without a limit: there would be no way back from its cgroup")
			continue
		}
		to, _ := l.v1(h.controller)
		if err := write(to, "tasks", "0"); err != nil { // 0: the thread that writes
			log.WithError(err).WithField("limit", h.controller).Warn("Plugin is started without a limit")
			continue
		}
		left = append(left, from)
	}
	return func() bool {
		clean := true
		for _, from := range left {
			if err := write(from, "tasks", "0"); err != nil {
				log.WithError(err).Warn("Thread cannot leave the cgroup of a plugin and is ended")
				clean = false
			}
		}
		return clean
	}
}

// onThread runs f on a thread that nothing else runs on meanwhile. If f does
// not say that it left the thread clean, the thread ends: the runtime ends that
// of a goroutine which ends without unlocking it.
//
// It is never the process's first thread. That one cannot end, and all memory
// of the process is charged to where it is: for an instant the supervisor would
// be under the plugin's limit, and first to be killed for it.
func onThread(f func() (clean bool)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			onThread(f) // gets another, as this one is taken
			runtime.UnlockOSThread()
			return
		}
		if f() {
			runtime.UnlockOSThread()
		}
	}()
	<-done
}
