package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/plugin"
)

// ErrNone is returned by Open when no cgroup v2 hierarchy is usable. Open adds the
// reasons.
var ErrNone = errors.New("no writable cgroup v2 hierarchy")

const probes = ".probes"

// Options configures Open.
type Options struct {
	Root   string             // of the supervisor, always spelled the same: it names our folder
	Log    logrus.FieldLogger // nil: nothing is logged
	Mounts string             // default /proc/self/mountinfo
}

// Tree is the folder with a supervisor's leaves. It is safe for concurrent use.
type Tree struct {
	log    logrus.FieldLogger
	place  place
	folder string               // name of the plugins' folder in the place
	v1     map[string]hierarchy // by controller

	mu    sync.Mutex
	fresh map[Leaf]bool     // made since Open, or by recreate
	names map[string]string // plugin names by leaf name, where the two differ
}

// Open finds the place and makes our folder there. The error is ErrNone if there
// is no place.
func Open(o Options) (*Tree, error) {
	if o.Root == "" {
		return nil, errors.New("open cgroups: no root given")
	}
	if o.Mounts == "" {
		o.Mounts = "/proc/self/mountinfo"
	}
	o.Log = logger.OrSilent(o.Log)
	mounts, err := readMounts(o.Mounts)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	own, err := readMembership("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	if err := checkFork(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	t := &Tree{log: o.Log, folder: folderName(o.Root), v1: findHierarchies(mounts, own), fresh: map[Leaf]bool{}, names: map[string]string{}}
	if t.place, err = choosePlace(findPlaces(mounts, own[""]), t.folder); err != nil {
		return nil, err
	}
	return t, nil
}

func folderName(root string) string { return "supervisor-" + layout.RootID(root) }

// choosePlace returns the first place in which our folder can be made.
func choosePlace(candidates []place, folder string) (place, error) {
	why := []string{}
	for _, p := range candidates {
		err := p.ensureFolder(folder)
		if err == nil {
			return p, nil
		}
		why = append(why, err.Error())
	}
	if len(why) == 0 {
		why = append(why, "none is mounted")
	}
	return place{}, fmt.Errorf("%w: %s", ErrNone, strings.Join(why, "; "))
}

// Dir returns the folder of the plugins' leaves.
func (t *Tree) Dir() string { return filepath.Join(t.place.dir, t.folder) }

// Leaf returns a plugin's leaf and makes it if missing. It fails for an invalid
// plugin name.
func (t *Tree) Leaf(name string) (*Leaf, error) { return t.makeLeaf(t.folder, name) }

// Probes returns the leaf for status probes of a plugin. In the plugin's own leaf a
// hung probe would hide the plugin's exit.
func (t *Tree) Probes(name string) (*Leaf, error) { return t.makeLeaf(t.folder+probes, name) }

func (t *Tree) makeLeaf(folder, name string) (*Leaf, error) {
	if err := plugin.CheckName(name); err != nil {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	l := t.leafOf(folder, name)
	if err := os.MkdirAll(l.Dir(), 0o755); err != nil {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	return l, nil
}

// leafOf returns a plugin's leaf, which may not exist.
func (t *Tree) leafOf(folder, name string) *Leaf {
	l := &Leaf{t, folder, layout.CgroupName(name)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if name == t.names[name] { // the name of a leaf of an unknown plugin
		l.name = name
	} else if l.name != name {
		t.names[l.name] = name
	}
	return l
}

// nameOf returns the plugin name of a leaf. If unknown, it returns the name of the
// leaf, which leafOf accepts too.
func (t *Tree) nameOf(leaf string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	name, known := t.names[leaf]
	switch {
	case known:
		return name
	case layout.CgroupName(leaf) != leaf:
		t.names[leaf] = leaf
	}
	return leaf
}

// Names returns the sorted names of the plugins that have a leaf of either kind,
// made by this supervisor process or an earlier one. A leaf does not always have
// its plugin's name (SPEC 1): for expected plugins, and those passed to Leaf, Names
// returns the plugin's name, for others the leaf's.
func (t *Tree) Names(expected ...string) ([]string, error) {
	for _, name := range expected {
		t.leafOf(t.folder, name)
	}
	var names []string
	for _, folder := range []string{t.folder, t.folder + probes} {
		entries, err := os.ReadDir(filepath.Join(t.place.dir, folder))
		if err != nil && !isAbsent(err) {
			return nil, fmt.Errorf("list cgroups: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() && plugin.CheckName(e.Name()) == nil {
				names = append(names, t.nameOf(e.Name()))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Remove removes a plugin's leaves and all cgroups below them. It fails if a
// process is in one of them. Missing leaves are no error.
func (t *Tree) Remove(name string) error {
	if err := plugin.CheckName(name); err != nil {
		return fmt.Errorf("remove cgroup: %w", err)
	}
	var failed []error
	for _, folder := range []string{t.folder, t.folder + probes} {
		if err := t.removeLeaf(t.leafOf(folder, name)); err != nil {
			failed = append(failed, fmt.Errorf("remove cgroup: %w", err))
		}
	}
	return errors.Join(failed...)
}

// removeLeaf removes a leaf with all cgroups below it, or nothing if a process is in
// one of them.
func (t *Tree) removeLeaf(l *Leaf) error {
	populated, err := l.Populated()
	if err != nil {
		return err
	}
	if populated {
		return fmt.Errorf("%s: %w", l.Dir(), unix.EBUSY)
	}
	t.markStale(l)
	err = removeTree(l.Dir())
	for controller := range t.v1 {
		dir, _ := l.v1(controller)
		err = errors.Join(err, removeTree(dir))
	}
	return err
}

// allFolders returns all folders that this package may have made, in every
// hierarchy.
func (t *Tree) allFolders() []string {
	parents := []string{t.place.dir}
	for _, h := range t.v1 {
		parents = append(parents, h.own)
	}
	var all []string
	for _, p := range parents {
		all = append(all, filepath.Join(p, t.folder), filepath.Join(p, t.folder+probes))
	}
	return all
}

// Close removes our empty folders. Leaves and the processes in them stay.
func (t *Tree) Close() {
	for _, folder := range t.allFolders() {
		_ = unix.Rmdir(folder) // fails while leaves are in it
	}
}
