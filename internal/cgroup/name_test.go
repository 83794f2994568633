package cgroup

import (
	"slices"
	"strings"
	"testing"
)

// SPEC 1: every valid plugin name has a leaf, which is found and removed by that
// name, also after a restart of the supervisor.
func TestLeafOfEveryName(t *testing.T) {
	tree := openTree(t)
	names := []string{"cgroup.procs", "memory.max", "pids.max", "tasks", "云 助手", "a@b:c~d", ".hidden", strings.Repeat("n", 255)}
	for _, name := range names {
		for _, leaf := range []func(string) (*Leaf, error){tree.Leaf, tree.Probes} {
			l, err := leaf(name)
			if err != nil {
				t.Fatal(err)
			}
			if populated, err := l.Populated(); populated || err != nil {
				t.Errorf("%s: %t, %v", name, populated, err)
			}
		}
	}
	slices.Sort(names)
	tree.names = map[string]string{} // as after a restart
	if got, err := tree.Names(names...); err != nil || !slices.Equal(got, names) {
		t.Errorf("leaves of %q, %v", got, err)
	}
	tree.names = map[string]string{} // as after a restart without known plugins
	unknown, err := tree.Names()
	if err != nil || len(unknown) != len(names) {
		t.Fatalf("leaves of %q, %v", unknown, err)
	}
	for _, name := range unknown {
		if err := tree.Remove(name); err != nil {
			t.Error(err)
		}
	}
	if left, err := tree.Names(); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}
