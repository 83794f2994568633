package cgroup

import (
	"slices"
	"strings"
	"testing"
)

// SPEC 1: every name that a plugin may have has a leaf, which is found and
// removed by that name, also in the next life of the supervisor.
func TestLeavesOfEveryName(t *testing.T) {
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
	tree.names = map[string]string{} // as in the next life
	if got, err := tree.Names(names...); err != nil || !slices.Equal(got, names) {
		t.Errorf("leaves of %q, %v", got, err)
	}
	tree.names = map[string]string{} // as in a life that does not know the plugins
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
