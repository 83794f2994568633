package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Leaf is one plugin's cgroup. It holds nothing open, and stays valid when the
// cgroup is removed: it then reads as empty.
type Leaf struct {
	tree   *Tree
	folder string
	name   string // of the leaf, see layout.CgroupName
}

// Dir is where the leaf is in the v2 hierarchy.
func (l *Leaf) Dir() string { return filepath.Join(l.tree.place.dir, l.folder, l.name) }

// Populated tells whether a process is in the leaf or below it. Zombies are
// none.
func (l *Leaf) Populated() (bool, error) {
	b, err := os.ReadFile(filepath.Join(l.Dir(), "cgroup.events"))
	if gone(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look into cgroup: %w", err)
	}
	n, ok := number(string(b), "populated")
	if !ok {
		return false, fmt.Errorf("look into cgroup: no line \"populated\" in %s/cgroup.events", l.Dir())
	}
	return n != 0, nil
}

// Procs are the processes in the leaf and below it, by number, sorted.
func (l *Leaf) Procs() ([]int, error) {
	all, err := family(l.Dir())
	if err != nil {
		return nil, fmt.Errorf("list processes of cgroup: %w", err)
	}
	var found []int
	for _, dir := range all {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		// A threaded cgroup names its processes in its parent only.
		if err != nil && !gone(err) && !errors.Is(err, unix.EOPNOTSUPP) {
			return nil, fmt.Errorf("list processes of cgroup: %w", err)
		}
		found = append(found, pids(string(b))...)
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// OOMKills counts the processes in the leaf that the kernel killed for want of
// memory since the leaf was made. It is known where memory is accounted for,
// which is sure only for a leaf with a limit of it (EV-10).
func (l *Leaf) OOMKills() (n uint64, known bool) {
	files := []string{filepath.Join(l.Dir(), "memory.events")}
	if dir, ok := l.v1("memory"); ok {
		files = append(files, filepath.Join(dir, "memory.oom_control"))
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if n, ok := number(string(b), "oom_kill"); ok {
			return n, true
		}
	}
	return 0, false
}

// v1 is the leaf's counterpart in the v1 hierarchy of a controller, and whether
// there is such a hierarchy; the counterpart itself need not be there.
func (l *Leaf) v1(controller string) (dir string, ok bool) {
	h, ok := l.tree.v1[controller]
	return filepath.Join(h.own, l.folder, l.name), ok
}
