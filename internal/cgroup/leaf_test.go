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
	t.Run("EV-02 a process begins in its plugin's leaf, a probe in the sibling", func(t *testing.T) {
		plain := leafOf(t, tree, "plain")
		probe, err := tree.Probes("plain")
		if err != nil {
			t.Fatal(err)
		}
		a, b := helper("hang"), helper("hang")
		launch(t, plain, a)
		launch(t, probe, b)
		if !in(t, a.Process.Pid, plain) || !in(t, b.Process.Pid, probe) {
			t.Error("a process is not in its leaf")
		}
		if err := plain.Kill(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "empty", func() bool { return !populated(t, plain) })
		if !populated(t, probe) {
			t.Error("the probe's leaf is empty too")
		}
	})
	t.Run("EV-01 a zombie is not a process", func(t *testing.T) {
		l := leafOf(t, tree, "zombie")
		c := helper("hang")
		launch(t, l, c)
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "empty", func() bool { return !populated(t, l) })
		if err := unix.Kill(c.Process.Pid, 0); err != nil {
			t.Errorf("it was reaped by somebody: %v", err)
		}
		if found, err := l.Procs(); err != nil || len(found) != 0 {
			t.Errorf("%v %v", found, err)
		}
	})
	t.Run("EV-02 what double-forks and calls setsid stays in it", func(t *testing.T) {
		l := leafOf(t, tree, "daemon")
		c := helper("daemon")
		launch(t, l, c)
		if _, err := c.Process.Wait(); err != nil { // c.Wait would close the daemon's standard input
			t.Fatal(err)
		}
		var found []int
		eventually(t, "one process", func() bool { found, _ = l.Procs(); return len(found) == 1 })
		if found[0] == c.Process.Pid || !in(t, found[0], l) {
			t.Errorf("found %v", found)
		}
	})
	t.Run("EV-02 cgroups that a plugin makes below its leaf are part of it", func(t *testing.T) {
		l := leafOf(t, tree, "nest")
		c := helper("nest", filepath.Join(l.Dir(), "below"))
		launch(t, l, c)
		if in(t, c.Process.Pid, l) {
			t.Fatal("it has not moved")
		}
		found, err := l.Procs()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{c.Process.Pid}, found); diff != "" || !populated(t, l) {
			t.Error(diff)
		}
		if err := tree.Remove("nest"); err == nil || !strings.Contains(err.Error(), "busy") {
			t.Errorf("removed with a process in it: %v", err)
		}
		if err := l.Kill(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "empty", func() bool { return !populated(t, l) })
		if err := tree.Remove("nest"); err != nil || exists(l.Dir()) {
			t.Errorf("not removed: %v", err)
		}
	})
}

func TestKill(t *testing.T) {
	tree := openTree(t)
	for name, kill := range map[string]func(*Leaf) error{
		"EV-02":                       (*Leaf).Kill,
		"EV-02 whole, as a fork bomb": (*Leaf).killWhole,
	} {
		t.Run(name, func(t *testing.T) {
			l := leafOf(t, tree, "killed")
			for range 2 { // what is forked into it afterwards lives until it is killed
				launch(t, l, helper("hang"))
				launch(t, l, helper("daemon"))
				launch(t, l, helper("nest", filepath.Join(l.Dir(), "below")))
				if found := all(t, l); len(found) < 3 {
					t.Fatalf("only %v run", found)
				}
				if err := kill(l); err != nil {
					t.Fatal(err)
				}
				eventually(t, "empty", func() bool { return !populated(t, l) })
				_ = unix.Rmdir(filepath.Join(l.Dir(), "below"))
			}
			if err := tree.Remove("killed"); err != nil {
				t.Error(err)
			}
			if err := l.Kill(); err != nil {
				t.Errorf("a leaf that is gone: %v", err)
			}
		})
	}
	t.Run("EV-08 a stranger with the number of a member is spared", func(t *testing.T) {
		l, other := leafOf(t, tree, "killed"), leafOf(t, tree, "stranger")
		c, killed := helper("hang"), map[int]bool{}
		launch(t, other, c)
		if err := l.killSure([]int{c.Process.Pid}, killed); err != nil || len(killed) != 0 {
			t.Errorf("%v %v", killed, err)
		}
		if err := other.killSure([]int{c.Process.Pid}, killed); err != nil || !killed[c.Process.Pid] {
			t.Errorf("a member: %v %v", killed, err)
		}
	})
	t.Run("a leaf that was killed in an earlier life is made anew", func(t *testing.T) {
		l := leafOf(t, tree, "old")
		if err := write(l.Dir(), "cgroup.kill", "1"); err != nil {
			testenv.SkipWithout(t, testenv.CgroupKill, err)
		}
		c := helper("hang")
		launch(t, l, c)
		if !in(t, c.Process.Pid, l) {
			t.Error("not in its leaf")
		}
	})
}

func all(t *testing.T, l *Leaf) []int {
	t.Helper()
	found, err := l.Procs()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestNames(t *testing.T) {
	tree := openTree(t)
	leafOf(t, tree, "b+1.0")
	first, again := leafOf(t, tree, "a"), leafOf(t, tree, "a")
	if *first != *again {
		t.Error("not the same leaf")
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
		t.Error("removed what is no plugin")
	}
	for _, name := range []string{"a", "b+1.0", "c", "never was"[:5]} {
		if err := tree.Remove(name); err != nil {
			t.Error(err)
		}
	}
	if names, err = tree.Names(); err != nil || len(names) != 0 || exists(filepath.Join(tree.Dir()+probes, "c")) {
		t.Errorf("left: %v %v", names, err)
	}
	if populated(t, first) || len(all(t, first)) != 0 {
		t.Error("a leaf that was removed holds processes")
	}
	if err := first.Fork(func(int) error { t.Error("started"); return nil }); !gone(err) {
		t.Errorf("fork into a leaf that was removed: %v", err)
	}
}

// A second tree is what the next life of the supervisor has.
func TestLivesOn(t *testing.T) {
	tree := openTree(t)
	l := leafOf(t, tree, "alive")
	c := helper("hang")
	launch(t, l, c)
	tree.Close()
	next := &Tree{log: tree.log, place: tree.place, folder: tree.folder, v1: tree.v1, fresh: map[Leaf]bool{}}
	names, err := next.Names()
	if err != nil || !slices.Contains(names, "alive") {
		t.Fatalf("%v %v", names, err)
	}
	if found := all(t, leafOf(t, next, "alive")); !slices.Equal(found, []int{c.Process.Pid}) {
		t.Errorf("found %v", found)
	}
	again := helper("hang")
	launch(t, leafOf(t, next, "alive"), again) // beside it, as a verb does
	if found := all(t, l); len(found) != 2 {
		t.Errorf("found %v", found)
	}
}
