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

// needV1 gives a leaf that has counterparts in v1.
func needV1(t *testing.T, tree *Tree) *Leaf {
	t.Helper()
	l := limited(t, tree, plugin.Limits{CPU: 1, Memory: 1 << 30, PIDs: 1000})
	if len(l.limited()) == 0 {
		testenv.SkipWithout(t, testenv.Cgroup1Controllers, "none of the leaf is limited there")
	}
	return l
}

func TestForkV1(t *testing.T) {
	tree := openTree(t)
	l := needV1(t, tree)
	t.Run("EV-17 the process begins under its limits, we stay where we were", func(t *testing.T) {
		c := helper("hang")
		launch(t, l, c)
		if !in(t, c.Process.Pid, l) {
			t.Error("not in its leaf")
		}
		its := memberships(t, strconv.Itoa(c.Process.Pid))
		for _, h := range l.limited() {
			if !strings.HasSuffix(its[h.controller], "/"+l.folder+"/"+l.name) {
				t.Errorf("%s: it is in %s", h.controller, its[h.controller])
			}
		}
		nobodyIn(t, l)
	})
	t.Run("never on the first thread", func(t *testing.T) {
		var group sync.WaitGroup
		for range 32 {
			group.Go(func() {
				err := l.Fork(func(int) error {
					if unix.Gettid() == unix.Getpid() {
						t.Error("the process's memory is charged to the plugin")
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		nobodyIn(t, l)
	})
	t.Run("a failure to start is told", func(t *testing.T) {
		want := errors.New("no such program")
		if err := l.Fork(func(int) error { return want }); !errors.Is(err, want) {
			t.Errorf("error %v", err)
		}
		nobodyIn(t, l)
	})
}

// nobodyIn sees to it that no thread of ours is in a counterpart of the leaf.
func nobodyIn(t *testing.T, l *Leaf) {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		its, err := readMembership(filepath.Join("/proc/self/task", thread.Name(), "cgroup"))
		if err != nil {
			continue // it has ended
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
	l := needV1(t, tree)
	h := tree.v1["pids"]
	t.Run("the thread is ended, the process runs", func(t *testing.T) {
		lost := h
		lost.mount.point = t.TempDir()
		thread, ran := 0, false
		onThread(func() bool {
			back := l.enter([]hierarchy{lost})
			thread, ran = unix.Gettid(), true
			return back()
		})
		if !ran {
			t.Fatal("not run")
		}
		eventually(t, "thread ended", func() bool {
			_, err := os.Stat(filepath.Join("/proc/self/task", strconv.Itoa(thread)))
			return err != nil
		})
	})
	t.Run("not entered if that is known before", func(t *testing.T) {
		lost := h
		lost.mount.root = "/elsewhere"
		onThread(func() bool {
			defer nobodyIn(t, l)
			return l.enter([]hierarchy{lost})()
		})
	})
	t.Run("EV-17 the process runs if a limit cannot be entered", func(t *testing.T) {
		broken := h
		broken.own = t.TempDir()
		other := &Leaf{&Tree{log: tree.log, place: tree.place, v1: map[string]hierarchy{"pids": broken}, fresh: map[Leaf]bool{}}, l.folder, l.name}
		if dir, _ := other.v1("pids"); os.MkdirAll(dir, 0o755) != nil { // without a file "tasks"
			t.Fatal("not made")
		}
		c := helper("hang")
		launch(t, other, c)
		if !in(t, c.Process.Pid, l) {
			t.Error("not in its leaf")
		}
	})
}
