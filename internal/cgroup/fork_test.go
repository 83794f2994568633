package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/testenv"
	"pluginsupervisor/plugin"
)

// requireV1 returns a leaf with counterparts in v1, or skips the test.
func requireV1(t *testing.T, tree *Tree) *Leaf {
	t.Helper()
	l := makeLimited(t, tree, plugin.Limits{CPU: 1, Memory: 1 << 30, PIDs: 1000})
	if len(l.v1Hierarchies()) == 0 {
		testenv.SkipWithout(t, testenv.Cgroup1Controllers, "none of the leaf is limited there")
	}
	return l
}

func TestForkV1(t *testing.T) {
	tree := openTree(t)
	l := requireV1(t, tree)
	t.Run("EV-17 the process starts under its limits, the supervisor does not move", func(t *testing.T) {
		c := helperCommand("hang")
		startAndWait(t, l, c)
		if !isIn(t, c.Process.Pid, l) {
			t.Error("the process is not in its leaf")
		}
		its := readMemberships(t, strconv.Itoa(c.Process.Pid))
		for _, h := range l.v1Hierarchies() {
			if !strings.HasSuffix(its[h.controller], "/"+l.folder+"/"+l.name) {
				t.Errorf("%s: the process is in %s, want its leaf", h.controller, its[h.controller])
			}
		}
		checkNoThreadIn(t, l)
	})
	t.Run("never on the first thread", func(t *testing.T) {
		var group sync.WaitGroup
		for range 32 {
			group.Go(func() {
				err := l.Fork(func(int) error {
					if unix.Gettid() == unix.Getpid() {
						t.Error("runs on the first thread: the memory of the process is charged to the plugin")
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		checkNoThreadIn(t, l)
	})
	t.Run("an error of start is returned", func(t *testing.T) {
		want := errors.New("no such program")
		if err := l.Fork(func(int) error { return want }); !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
		checkNoThreadIn(t, l)
	})
}

// checkNoThreadIn checks that no thread of this process is in a counterpart of the
// leaf.
func checkNoThreadIn(t *testing.T, l *Leaf) {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		its, err := readMembership(filepath.Join("/proc/self/task", thread.Name(), "cgroup"))
		if err != nil {
			continue // the thread has exited
		}
		for _, path := range its {
			if strings.Contains(path, l.folder) {
				t.Errorf("thread %s is in %s", thread.Name(), path)
			}
		}
	}
}

func TestForkV1NoWayBack(t *testing.T) {
	tree := openTree(t)
	l := requireV1(t, tree)
	h := tree.v1["pids"]
	t.Run("the thread exits, the process runs", func(t *testing.T) {
		lost := h
		lost.mount.point = t.TempDir()
		thread, ran := 0, false
		runOnOwnThread(func() bool {
			back := l.enterCounterparts([]hierarchy{lost})
			thread, ran = unix.Gettid(), true
			return back()
		})
		if !ran {
			t.Fatal("not run")
		}
		waitUntil(t, "thread exited", func() bool {
			_, err := os.Stat(filepath.Join("/proc/self/task", strconv.Itoa(thread)))
			return err != nil
		})
	})
	t.Run("not entered if that is known before", func(t *testing.T) {
		lost := h
		lost.mount.root = "/elsewhere"
		runOnOwnThread(func() bool {
			defer checkNoThreadIn(t, l)
			return l.enterCounterparts([]hierarchy{lost})()
		})
	})
	t.Run("EV-17 the process runs if a limit cannot be entered", func(t *testing.T) {
		broken := h
		broken.own = t.TempDir()
		other := &Leaf{&Tree{log: tree.log, place: tree.place, v1: map[string]hierarchy{"pids": broken}, fresh: map[Leaf]bool{}}, l.folder, l.name}
		if dir, _ := other.v1("pids"); os.MkdirAll(dir, 0o755) != nil { // without a file "tasks"
			t.Fatal("not made")
		}
		c := helperCommand("hang")
		startAndWait(t, other, c)
		if !isIn(t, c.Process.Pid, l) {
			t.Error("not in its leaf")
		}
	})
}
