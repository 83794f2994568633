package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Leaf is one plugin's cgroup. It holds no open file, and stays valid when the
// cgroup is removed: it is then empty.
type Leaf struct {
	tree   *Tree
	folder string
	name   string // of the leaf, see layout.CgroupName
}

// Dir returns the folder of the leaf in the v2 hierarchy.
func (l *Leaf) Dir() string { return filepath.Join(l.tree.place.dir, l.folder, l.name) }

// Populated reports whether a process is in the leaf or below it. Zombies do not
// count.
func (l *Leaf) Populated() (bool, error) {
	b, err := os.ReadFile(filepath.Join(l.Dir(), "cgroup.events"))
	if isAbsent(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read cgroup: %w", err)
	}
	n, ok := parseNumber(string(b), "populated")
	if !ok {
		return false, fmt.Errorf("read cgroup: no line \"populated\" in %s/cgroup.events", l.Dir())
	}
	return n != 0, nil
}

// Procs returns the sorted pids of the processes in the leaf and below it.
func (l *Leaf) Procs() ([]int, error) {
	all, err := listTree(l.Dir())
	if err != nil {
		return nil, fmt.Errorf("list processes of cgroup: %w", err)
	}
	var found []int
	for _, dir := range all {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		// A threaded cgroup lists its processes in its parent only.
		if err != nil && !isAbsent(err) && !errors.Is(err, unix.EOPNOTSUPP) {
			return nil, fmt.Errorf("list processes of cgroup: %w", err)
		}
		found = append(found, parsePIDs(string(b))...)
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// OOMKills counts the processes in the leaf that the kernel killed because memory
// ran out, since the leaf was made. The number is known where the kernel accounts
// memory, which is certain only for a leaf with a memory limit (EV-10).
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
		if n, ok := parseNumber(string(b), "oom_kill"); ok {
			return n, true
		}
	}
	return 0, false
}

// v1 returns the folder of the leaf's counterpart in the v1 hierarchy of a
// controller, and whether there is such a hierarchy. The counterpart may not exist.
func (l *Leaf) v1(controller string) (dir string, ok bool) {
	h, ok := l.tree.v1[controller]
	return filepath.Join(h.own, l.folder, l.name), ok
}
