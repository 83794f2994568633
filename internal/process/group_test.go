package process

import (
	"os"
	"syscall"
	"testing"

	"pluginsupervisor/internal/procfs"
)

// A group is empty when its last member has exited, reaped or not.
func TestGroupEmpty(t *testing.T) {
	f := newFamily(t)
	c := f.command("orphan")
	c.Dir = "/"
	p, err := startCommand(nil, c, &commandScope{}, os.Stderr.Fd())
	if err != nil {
		t.Fatal(err)
	}
	f.awaitAlive(4)
	for _, target := range []int{p.pid, -p.pid} { // the first alone, then all
		if p.isEmpty() {
			t.Error("isEmpty is true with live members")
		}
		if err := syscall.Kill(target, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-p.exited
	}
	eventually(t, "empty, with a zombie", p.isEmpty)
	f.checkNone()
	if _, err := p.reapStatus(); err != nil {
		t.Error(err)
	}
	eventually(t, "empty, reaped", p.isEmpty)
}

// A later group with the same ID is another group.
func TestGroupNumberReused(t *testing.T) {
	self, own := os.Getpid(), group{id: syscall.Getpgrp()}
	s, err := procfs.ReadStat(self)
	if err != nil {
		t.Fatal(err)
	}
	for bornBy, want := range map[uint64]bool{0: true, procfs.BootTicks(): true, s.Born: true, s.Born - 1: false} {
		own.bornBy = bornBy
		if own.isMember(self) != want {
			t.Errorf("born %d, group reaped %d: member is %t", s.Born, bornBy, !want)
		}
	}
	other := group{id: self, bornBy: s.Born - 1}
	if !other.isEmpty() {
		t.Error("isEmpty is false for a group of later processes")
	}
}

// A reaped child is never signalled: its pid may be reused.
func TestSignalAfterReap(t *testing.T) {
	self := &child{group: group{id: syscall.Getpgrp()}, pid: os.Getpid(), exited: make(chan struct{}), reaped: true}
	self.signalGroup(syscall.SIGKILL)
	lost := &child{group: group{id: syscall.Getpgrp()}, pid: os.Getpid(), exited: make(chan struct{}), err: syscall.ECHILD}
	close(lost.exited)
	lost.signalGroup(syscall.SIGKILL)
}
