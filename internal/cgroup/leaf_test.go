package cgroup

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/testenv"
)

func TestLeaf(t *testing.T) {
	tree := openTree(t)
	t.Run("EV-02 a process starts in its plugin's leaf, a probe in the sibling", func(t *testing.T) {
		plain := makeTestLeaf(t, tree, "plain")
		probe, err := tree.Probes("plain")
		if err != nil {
			t.Fatal(err)
		}
		a, b := helperCommand("hang"), helperCommand("hang")
		startAndWait(t, plain, a)
		startAndWait(t, probe, b)
		if !isIn(t, a.Process.Pid, plain) || !isIn(t, b.Process.Pid, probe) {
			t.Error("a process is not in its leaf")
		}
		if err := plain.Kill(); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "empty", func() bool { return !isPopulated(t, plain) })
		if !isPopulated(t, probe) {
			t.Error("the probe's leaf is empty too")
		}
	})
	t.Run("EV-01 a zombie is not a process", func(t *testing.T) {
		l := makeTestLeaf(t, tree, "zombie")
		c := helperCommand("hang")
		startAndWait(t, l, c)
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "empty", func() bool { return !isPopulated(t, l) })
		if err := unix.Kill(c.Process.Pid, 0); err != nil {
			t.Errorf("the zombie was reaped: %v", err)
		}
		if found, err := l.Procs(); err != nil || len(found) != 0 {
			t.Errorf("processes %v %v, want none", found, err)
		}
	})
	t.Run("EV-02 a process that double-forks and calls setsid stays in it", func(t *testing.T) {
		l := makeTestLeaf(t, tree, "daemon")
		c := helperCommand("daemon")
		startAndWait(t, l, c)
		if _, err := c.Process.Wait(); err != nil { // c.Wait would close the daemon's standard input
			t.Fatal(err)
		}
		var found []int
		waitUntil(t, "one process", func() bool { found, _ = l.Procs(); return len(found) == 1 })
		if found[0] == c.Process.Pid || !isIn(t, found[0], l) {
			t.Errorf("found %v", found)
		}
	})
	t.Run("EV-02 cgroups that a plugin makes below its leaf are part of it", func(t *testing.T) {
		l := makeTestLeaf(t, tree, "nest")
		c := helperCommand("nest", filepath.Join(l.Dir(), "below"))
		startAndWait(t, l, c)
		if isIn(t, c.Process.Pid, l) {
			t.Fatal("the helper has not moved to its own cgroup")
		}
		found, err := l.Procs()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{c.Process.Pid}, found); diff != "" || !isPopulated(t, l) {
			t.Error(diff)
		}
		if err := tree.Remove("nest"); err == nil || !strings.Contains(err.Error(), "busy") {
			t.Errorf("removed with a process in it: %v", err)
		}
		if err := l.Kill(); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "empty", func() bool { return !isPopulated(t, l) })
		if err := tree.Remove("nest"); err != nil || cgroupExists(l.Dir()) {
			t.Errorf("not removed: %v", err)
		}
	})
}

func TestKill(t *testing.T) {
	tree := openTree(t)
	for name, kill := range map[string]func(*Leaf) error{
		"EV-02":                      (*Leaf).Kill,
		"EV-02 at once, a fork bomb": (*Leaf).killAtOnce,
	} {
		t.Run(name, func(t *testing.T) {
			l := makeTestLeaf(t, tree, "killed")
			for range 2 { // processes forked after the first kill must run
				startAndWait(t, l, helperCommand("hang"))
				startAndWait(t, l, helperCommand("daemon"))
				startAndWait(t, l, helperCommand("nest", filepath.Join(l.Dir(), "below")))
				if found := listProcs(t, l); len(found) < 3 {
					t.Fatalf("processes %v, want 3 or more", found)
				}
				if err := kill(l); err != nil {
					t.Fatal(err)
				}
				waitUntil(t, "empty", func() bool { return !isPopulated(t, l) })
				_ = unix.Rmdir(filepath.Join(l.Dir(), "below"))
			}
			if err := tree.Remove("killed"); err != nil {
				t.Error(err)
			}
			if err := l.Kill(); err != nil {
				t.Errorf("kill a removed leaf: %v, want nil", err)
			}
		})
	}
	t.Run("EV-08 a process outside of the leaf is not killed", func(t *testing.T) {
		l, other := makeTestLeaf(t, tree, "killed"), makeTestLeaf(t, tree, "stranger")
		c, killed := helperCommand("hang"), map[int]bool{}
		startAndWait(t, other, c)
		if err := l.killHeld([]int{c.Process.Pid}, killed); err != nil || len(killed) != 0 {
			t.Errorf("killed %v %v, want none", killed, err)
		}
		if err := other.killHeld([]int{c.Process.Pid}, killed); err != nil || !killed[c.Process.Pid] {
			t.Errorf("in its own leaf: killed %v %v, want the process", killed, err)
		}
	})
	t.Run("a leaf with a used cgroup.kill is recreated", func(t *testing.T) {
		l := makeTestLeaf(t, tree, "old")
		if err := writeControl(l.Dir(), "cgroup.kill", "1"); err != nil {
			testenv.SkipWithout(t, testenv.CgroupKill, err)
		}
		c := helperCommand("hang")
		startAndWait(t, l, c)
		if !isIn(t, c.Process.Pid, l) {
			t.Error("not in its leaf")
		}
	})
}

func listProcs(t *testing.T, l *Leaf) []int {
	t.Helper()
	found, err := l.Procs()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestNames(t *testing.T) {
	tree := openTree(t)
	makeTestLeaf(t, tree, "b+1.0")
	first, again := makeTestLeaf(t, tree, "a"), makeTestLeaf(t, tree, "a")
	if *first != *again {
		t.Error("two calls return different leaves")
	}
	if _, err := tree.Probes("c"); err != nil {
		t.Fatal(err)
	}
	names, err := tree.Names()
	if diff := cmp.Diff([]string{"a", "b+1.0", "c"}, names); err != nil || diff != "" {
		t.Error(diff, err)
	}
	for _, bad := range []string{"", ".", "..", "a/b", "a "} {
		if l, err := tree.Leaf(bad); err == nil {
			t.Errorf("%q: leaf %v", bad, l)
		}
	}
	if err := tree.Remove("../" + tree.folder); err == nil {
		t.Error("removed an invalid name, want an error")
	}
	for _, name := range []string{"a", "b+1.0", "c", "never was"[:5]} {
		if err := tree.Remove(name); err != nil {
			t.Error(err)
		}
	}
	if names, err = tree.Names(); err != nil || len(names) != 0 || cgroupExists(filepath.Join(tree.Dir()+probes, "c")) {
		t.Errorf("names %v %v after Remove, want none", names, err)
	}
	if isPopulated(t, first) || len(listProcs(t, first)) != 0 {
		t.Error("a removed leaf holds processes")
	}
	if err := first.Fork(func(int) error { t.Error("started"); return nil }); !isAbsent(err) {
		t.Errorf("fork into a removed leaf: %v, want an error", err)
	}
}

// A second tree of the same root finds the leaves, as after a restart of the
// supervisor.
func TestLeafSurvivesRestart(t *testing.T) {
	tree := openTree(t)
	l := makeTestLeaf(t, tree, "alive")
	c := helperCommand("hang")
	startAndWait(t, l, c)
	tree.Close()
	next := &Tree{log: tree.log, place: tree.place, folder: tree.folder, v1: tree.v1, fresh: map[Leaf]bool{}}
	names, err := next.Names()
	if err != nil || !slices.Contains(names, "alive") {
		t.Fatalf("%v %v", names, err)
	}
	if found := listProcs(t, makeTestLeaf(t, next, "alive")); !slices.Equal(found, []int{c.Process.Pid}) {
		t.Errorf("found %v", found)
	}
	again := helperCommand("hang")
	startAndWait(t, makeTestLeaf(t, next, "alive"), again) // beside it, as a plugin command
	if found := listProcs(t, l); len(found) != 2 {
		t.Errorf("found %v", found)
	}
}
