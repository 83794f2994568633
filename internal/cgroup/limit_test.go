package cgroup

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/testenv"
	"pluginsupervisor/plugin"
)

// makeLimited returns a leaf with enforced limits.
func makeLimited(t *testing.T, tree *Tree, l plugin.Limits) *Leaf {
	t.Helper()
	if not := tree.Unlimited(l); len(not) > 0 {
		testenv.SkipWithout(t, testenv.Limits, not)
	}
	leaf := makeTestLeaf(t, tree, "limited")
	if err := leaf.Limit(l); err != nil {
		t.Fatal(err)
	}
	return leaf
}

// readValue reads a control file of the leaf, in v2 or v1.
func readValue(t *testing.T, l *Leaf, controller, v2, v1 string) string {
	t.Helper()
	dir, _ := l.v1(controller)
	for _, file := range []string{filepath.Join(l.Dir(), v2), filepath.Join(dir, v1)} {
		if b, err := os.ReadFile(file); err == nil {
			return strings.TrimSpace(string(b))
		}
	}
	t.Fatalf("neither %s nor %s", v2, v1)
	return ""
}

func TestLimitMemory(t *testing.T) {
	tree := openTree(t)
	t.Run("EV-10 out of memory is counted", func(t *testing.T) {
		l := makeLimited(t, tree, plugin.Limits{Memory: 16 << 20})
		if n, known := l.OOMKills(); n != 0 || !known {
			t.Fatalf("%d %v before", n, known)
		}
		c := helperCommand("allocate")
		startIn(t, l, c)
		exit := &exec.ExitError{}
		if err := c.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
			t.Fatalf("not killed: %v", err)
		}
		if n, known := l.OOMKills(); n == 0 || !known {
			t.Errorf("%d %v after", n, known)
		}
	})
	t.Run("EV-10 without a limit it is unknown", func(t *testing.T) {
		l := makeTestLeaf(t, tree, "free")
		if ok, err := fileContains(tree.Dir(), "cgroup.subtree_control", "memory"); err != nil {
			t.Fatal(err)
		} else if ok {
			testenv.SkipWithout(t, testenv.Cgroup2Bare, "it has memory")
		}
		if n, known := l.OOMKills(); n != 0 || known {
			t.Errorf("%d %v", n, known)
		}
	})
}

func TestLimitPIDs(t *testing.T) {
	l := makeLimited(t, openTree(t), plugin.Limits{PIDs: 8})
	t.Run("EV-17 no more processes than allowed", func(t *testing.T) {
		// The shell forks until it fails.
		c := exec.Command("/bin/sh", "-c", "while sleep 1000 & do :; done 2>/dev/null")
		startIn(t, l, c)
		exit := &exec.ExitError{}
		if err := c.Wait(); !errors.As(err, &exit) || !exit.Exited() {
			t.Fatalf("the shell: %v, want an exit because it cannot fork", err)
		}
		if n := len(listProcs(t, l)); n == 0 || n > 8 {
			t.Errorf("%d processes, want 1 to 8", n)
		}
	})
}

func TestLimitSetAndRemoved(t *testing.T) {
	tree := openTree(t)
	l := makeLimited(t, tree, plugin.Limits{CPU: 0.5, Memory: 64 << 20, PIDs: 64})
	read := func() []string {
		return []string{
			strings.TrimSuffix(readValue(t, l, "cpu", "cpu.max", "cpu.cfs_quota_us"), " 100000"),
			readValue(t, l, "memory", "memory.max", "memory.limit_in_bytes"),
			readValue(t, l, "pids", "pids.max", "pids.max"),
		}
	}
	t.Run("EV-17 set", func(t *testing.T) {
		if diff := cmp.Diff([]string{"50000", "67108864", "64"}, read()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("EV-17 one value is rejected, the others are set", func(t *testing.T) {
		err := l.Limit(plugin.Limits{CPU: 0.001, Memory: 32 << 20, PIDs: 32})
		if err == nil || !strings.Contains(err.Error(), "limit cpu: write ") || !strings.Contains(err.Error(), "/cpu.") {
			t.Errorf("error %v", err)
		}
		if diff := cmp.Diff([]string{"33554432", "32"}, read()[1:]); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("EV-17 removed", func(t *testing.T) {
		if err := l.Limit(plugin.Limits{}); err != nil {
			t.Fatal(err)
		}
		for i, got := range read() {
			if got != "max" && got != "-1" && len(got) < len("9223372036854771712") {
				t.Errorf("limit %d is %s, want none", i, got)
			}
		}
	})
	t.Run("EV-17 removed with the leaf", func(t *testing.T) {
		if err := tree.Remove(l.name); err != nil {
			t.Fatal(err)
		}
		for controller := range tree.v1 {
			if dir, _ := l.v1(controller); cgroupExists(dir) {
				t.Errorf("%s still exists", dir)
			}
		}
	})
}

func TestNoLimitsNothingMade(t *testing.T) {
	tree := openTree(t)
	l := makeTestLeaf(t, tree, "free")
	if err := l.Limit(plugin.Limits{}); err != nil {
		t.Fatal(err)
	}
	for _, folder := range tree.allFolders()[2:] {
		if cgroupExists(folder) {
			t.Errorf("%s was made", folder)
		}
	}
	if not := tree.Unlimited(plugin.Limits{}); len(not) != 0 {
		t.Errorf("not enforced: %v", not)
	}
}

func TestUnlimited(t *testing.T) {
	tree := openTree(t)
	none := &Tree{log: tree.log, place: tree.place, folder: tree.folder, fresh: map[Leaf]bool{}}
	t.Run("EV-17 each limit that is not enforced, and why", func(t *testing.T) {
		var want []string
		for _, c := range []string{"cpu", "memory", "pids"} {
			if ok, err := fileContains(tree.place.dir, "cgroup.controllers", c); err != nil {
				t.Fatal(err)
			} else if !ok {
				want = append(want, c+": no controller")
			}
		}
		if len(want) == 0 {
			testenv.SkipWithout(t, testenv.Cgroup2Bare, "it has cpu, memory and pids")
		}
		limits := plugin.Limits{CPU: 1, Memory: 1 << 30, PIDs: 100}
		if diff := cmp.Diff(want, none.Unlimited(limits)); diff != "" {
			t.Error(diff)
		}
		l := makeTestLeaf(t, none, "free")
		if err := l.Limit(limits); err != nil {
			t.Errorf("Limit with limits that cannot be enforced: %v, want nil", err)
		}
	})
}

// The settings for v2, also on hosts whose controllers are in v1.
func TestBounds(t *testing.T) {
	for name, c := range map[string]struct {
		limits plugin.Limits
		want   map[string]string
	}{
		"EV-17 set": {
			plugin.Limits{CPU: 1.255, Memory: 1 << 20, PIDs: 3},
			map[string]string{"cpu.max": "125500 100000", "memory.max": "1048576", "memory.oom.group": "1", "pids.max": "3"},
		},
		"EV-17 removed": {
			plugin.Limits{},
			map[string]string{"cpu.max": "max 100000", "memory.max": "max", "memory.oom.group": "0", "pids.max": "max"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file := range c.want {
				if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, b := range controllerLimits(c.limits) {
				if err := applySettings(dir, b.v2); err != nil {
					t.Error(err)
				}
			}
			got := map[string]string{}
			for file := range c.want {
				b, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				got[file] = string(b)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
