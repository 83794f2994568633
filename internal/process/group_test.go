package process

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const statLine = "4242 (a (b) c) S 1 %d 4240 0 -1 4194560 2 0 0 0 1 2 0 0 20 0 %d 0 123456 1024 7 18446744073709551615"

func TestParseStat(t *testing.T) {
	line := fmt.Sprintf(statLine, 4240, 3)
	got, err := parseStat([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	want := stat{state: 'S', parent: 1, group: 4240, threads: 3, born: 123456}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(stat{})); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{
		"", "4242 (a", "4242 (a) S 1 2", "4242 (a) " + strings.Repeat("x ", 30),
		strings.Replace(line, " 123456 ", " -1 ", 1), strings.Replace(line, " 3 0 ", " many 0 ", 1),
	} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was read as %+v", bad, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	self, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(self)
	f.Add(fmt.Appendf(nil, statLine, 1, 1))
	f.Add([]byte(") ) Z 0 0"))
	f.Fuzz(func(t *testing.T, line []byte) {
		s, err := parseStat(line)
		if err != nil {
			return
		}
		// The name says nothing, whatever it looks like.
		rest := line[bytes.LastIndexByte(line, ')')+1:]
		renamed, err := parseStat(append([]byte("1 (x) Z 1 1) "), rest...))
		if err != nil || renamed != s {
			t.Errorf("%+v became %+v, %v", s, renamed, err)
		}
	})
}

// Zombies do not count (SPEC 11), unless it is the first thread alone that ended.
func TestStatLive(t *testing.T) {
	for s, want := range map[stat]bool{
		{state: 'R', threads: 1}: true, {state: 'S', threads: 1}: true, {state: 'D', threads: 1}: true, {state: 'T', threads: 1}: true,
		{state: 'Z', threads: 1}: false, {state: 'X'}: false, {state: 'Z', threads: 2}: true,
	} {
		if s.live() != want {
			t.Errorf("%c with %d threads: %t", s.state, s.threads, !want)
		}
	}
}

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
	s, err := readStat(self)
	if err != nil {
		t.Fatal(err)
	}
	for bornBy, want := range map[uint64]bool{0: true, bootTicks(): true, s.born: true, s.born - 1: false} {
		own.bornBy = bornBy
		if own.has(self) != want {
			t.Errorf("born %d, group reaped %d: member is %t", s.born, bornBy, !want)
		}
	}
	other := group{id: self, bornBy: s.born - 1}
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
