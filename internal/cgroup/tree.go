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

// ErrNone says that leaves can be had nowhere. Open returns it together with
// what was found instead.
var ErrNone = errors.New("no writable cgroup v2 hierarchy")

const probes = ".probes"

// Options say whose leaves they are.
type Options struct {
	Root   string             // of the supervisor, always spelt the same: it names our folder
	Log    logrus.FieldLogger // nil: nothing is logged
	Mounts string             // default /proc/self/mountinfo
}

// Tree is the folder with a supervisor's leaves. Its methods may be called
// from any goroutine, at the same time.
type Tree struct {
	log    logrus.FieldLogger
	place  place
	folder string               // name of the plugins' folder in the place
	v1     map[string]hierarchy // by controller

	mu    sync.Mutex
	fresh map[Leaf]bool     // made since Open, or by renew
	names map[string]string // of plugins, by the name of their leaf where that is another one
}

// Open finds the place and makes our folder there, and nothing else. The error
// is ErrNone where there is no place.
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
	if err := forkable(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	t := &Tree{log: o.Log, folder: folderOf(o.Root), v1: hierarchies(mounts, own), fresh: map[Leaf]bool{}, names: map[string]string{}}
	if t.place, err = choose(places(mounts, own[""]), t.folder); err != nil {
		return nil, err
	}
	return t, nil
}

func folderOf(root string) string { return "supervisor-" + layout.RootID(root) }

// choose takes the first place that will have our folder.
func choose(candidates []place, folder string) (place, error) {
	why := []string{}
	for _, p := range candidates {
		err := p.settle(folder)
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

// Dir is where the plugins' leaves are.
func (t *Tree) Dir() string { return filepath.Join(t.place.dir, t.folder) }

// Leaf gives a plugin's leaf, making it if it is not there. The error is not
// nil for what is no plugin's name.
func (t *Tree) Leaf(name string) (*Leaf, error) { return t.leaf(t.folder, name) }

// Probes gives the leaf for what is run of a plugin only to ask it: in its own
// leaf a probe that hangs would hide the plugin's end.
func (t *Tree) Probes(name string) (*Leaf, error) { return t.leaf(t.folder+probes, name) }

func (t *Tree) leaf(folder, name string) (*Leaf, error) {
	if err := plugin.CheckName(name); err != nil {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	l := t.leafOf(folder, name)
	if err := os.MkdirAll(l.Dir(), 0o755); err != nil {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	return l, nil
}

// leafOf returns a plugin's leaf, which need not be there.
func (t *Tree) leafOf(folder, name string) *Leaf {
	l := &Leaf{t, folder, layout.CgroupName(name)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if name == t.names[name] { // the name of a leaf whose plugin is not known
		l.name = name
	} else if l.name != name {
		t.names[l.name] = name
	}
	return l
}

// nameOf returns the plugin that a leaf belongs to. Where that is not known, it
// is the name of the leaf itself, and leafOf finds it by that.
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

// Names are the plugins that have a leaf of either kind, of this life of the
// supervisor or an earlier one, sorted. A leaf does not always have its plugin's
// name (SPEC 1): of expected plugins, and of those that Leaf was asked for, the
// plugin's is returned, of others the leaf's.
func (t *Tree) Names(expected ...string) ([]string, error) {
	for _, name := range expected {
		t.leafOf(t.folder, name)
	}
	var names []string
	for _, folder := range []string{t.folder, t.folder + probes} {
		entries, err := os.ReadDir(filepath.Join(t.place.dir, folder))
		if err != nil && !gone(err) {
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

// Remove removes a plugin's leaves, and what it made below them. It fails if
// a process is in one of them, and is content if there are none.
func (t *Tree) Remove(name string) error {
	if err := plugin.CheckName(name); err != nil {
		return fmt.Errorf("remove cgroup: %w", err)
	}
	var failed []error
	for _, folder := range []string{t.folder, t.folder + probes} {
		if err := t.remove(t.leafOf(folder, name)); err != nil {
			failed = append(failed, fmt.Errorf("remove cgroup: %w", err))
		}
	}
	return errors.Join(failed...)
}

// remove leaves what is below a leaf alone if it cannot have all.
func (t *Tree) remove(l *Leaf) error {
	populated, err := l.Populated()
	if err != nil {
		return err
	}
	if populated {
		return fmt.Errorf("%s: %w", l.Dir(), unix.EBUSY)
	}
	t.stale(l)
	err = remove(l.Dir())
	for controller := range t.v1 {
		dir, _ := l.v1(controller)
		err = errors.Join(err, remove(dir))
	}
	return err
}

// folders are all that we may have made, in every hierarchy.
func (t *Tree) folders() []string {
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

// Close removes our folders that have no leaves. Leaves stay, and what runs in
// them.
func (t *Tree) Close() {
	for _, folder := range t.folders() {
		_ = unix.Rmdir(folder) // refused while there are leaves in it
	}
}
