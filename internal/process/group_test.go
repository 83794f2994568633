package process

import (
	"os"
	"syscall"
	"testing"

	"pluginsupervisor/internal/procfs"
)

// A group is empty when its last member runs no more, reaped or not.
func TestGroupEmpty(t *testing.T) {
	f := newFamily(t)
	c := f.command("orphan")
	c.Dir = "/"
	p, err := start(nil, c, &room{}, os.Stderr.Fd())
	if err != nil {
		t.Fatal(err)
	}
	f.await(4)
	for _, target := range []int{p.pid, -p.pid} { // the first alone, then all
		if p.empty() {
			t.Error("empty with live members")
		}
		if err := syscall.Kill(target, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-p.ended
	}
	eventually(t, "empty, with a zombie", p.empty)
	f.none()
	if _, err := p.reap(); err != nil {
		t.Error(err)
	}
	eventually(t, "empty, reaped", p.empty)
}

// A group that was given our number later is not ours.
func TestGroupNumberReused(t *testing.T) {
	self, own := os.Getpid(), group{id: syscall.Getpgrp()}
	s, err := procfs.ReadStat(self)
	if err != nil {
		t.Fatal(err)
	}
	for bornBy, want := range map[uint64]bool{0: true, procfs.BootTicks(): true, s.Born: true, s.Born - 1: false} {
		own.bornBy = bornBy
		if own.has(self) != want {
			t.Errorf("born %d, group reaped %d: member is %t", s.Born, bornBy, !want)
		}
	}
	other := group{id: self, bornBy: s.Born - 1}
	if !other.empty() {
		t.Error("a group of later processes is waited for")
	}
}

// Once reaped, a child is never signalled: its number may be another's.
func TestSignalAfterReap(t *testing.T) {
	self := &child{group: group{id: syscall.Getpgrp()}, pid: os.Getpid(), ended: make(chan struct{}), reaped: true}
	self.signal(syscall.SIGKILL)
	lost := &child{group: group{id: syscall.Getpgrp()}, pid: os.Getpid(), ended: make(chan struct{}), err: syscall.ECHILD}
	close(lost.ended)
	lost.signal(syscall.SIGKILL)
}
