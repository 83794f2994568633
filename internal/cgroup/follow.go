package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/inotify"
)

// Follow calls changed with whether a plugin's leaf holds processes: for each leaf
// at the start, for each new one, and after each change that the kernel reports;
// for a removed leaf with false. The same state may be reported again. Follow
// returns nil when ctx ends, and an error when the kernel has no watch left.
//
// One goroutine calls changed and waits for it.
func (t *Tree) Follow(ctx context.Context, changed func(name string, populated bool)) error {
	queue, err := inotify.Open()
	if err != nil {
		return fmt.Errorf("follow cgroups: %w", err)
	}
	defer queue.Close()
	return t.follow(ctx, queue, changed)
}

func (t *Tree) follow(ctx context.Context, queue *inotify.Queue, changed func(name string, populated bool)) error {
	defer context.AfterFunc(ctx, queue.Interrupt)()
	f := &followLoop{tree: t, queue: queue, changed: changed}
	err := f.watchAll()
	for err == nil && ctx.Err() == nil {
		var events []inotify.Event
		events, err = queue.Read(time.Time{})
		for _, e := range events {
			if err == nil {
				err = f.handleEvent(e)
			}
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("follow cgroups: %w", err)
}

// followLoop is one run of Follow.
type followLoop struct {
	tree    *Tree
	queue   *inotify.Queue
	changed func(string, bool)
	place   int            // watch of the parent of our folder
	folder  int            // watch of our folder, in which leaves are made and removed
	leaves  map[int]string // plugin names by watch of cgroup.events
}

// handleEvent handles one event. Events of removed watches are ignored.
func (f *followLoop) handleEvent(e inotify.Event) error {
	name, known := f.leaves[e.Watch]
	switch {
	case e.Mask&unix.IN_Q_OVERFLOW != 0:
		f.tree.log.Debug("Cgroup events were lost, checking all cgroups")
		return f.watchAll()
	case e.Watch == f.place:
		if e.Name == f.tree.folder { // another process removed it, or it was made again
			return f.watchAll()
		}
	case e.Watch == f.folder && e.Mask&unix.IN_CREATE != 0:
		return f.watchLeaf(f.tree.nameOf(e.Name))
	case e.Watch == f.folder && e.Mask&unix.IN_DELETE != 0:
		f.forgetLeaf(f.tree.nameOf(e.Name))
	case known && e.Mask&unix.IN_IGNORED != 0:
		delete(f.leaves, e.Watch)
	case known:
		f.reportLeaf(name)
	}
	return nil
}

// watchAll watches all existing leaves. Leaves that no longer exist are reported as
// empty.
func (f *followLoop) watchAll() error {
	const mask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_ONLYDIR
	var err error
	if f.place, err = f.queue.Add(f.tree.place.dir, mask); err != nil {
		return err
	}
	if err := os.MkdirAll(f.tree.Dir(), 0o755); err != nil {
		return err
	}
	folder, err := f.queue.Add(f.tree.Dir(), mask)
	if err != nil {
		return err
	}
	if f.folder != 0 && f.folder != folder {
		f.queue.Drop(f.folder)
	}
	f.folder = folder
	names, err := f.tree.Names()
	if err != nil {
		return err
	}
	before := f.leaves
	f.leaves = map[int]string{}
	for _, name := range names {
		if err := f.watchLeaf(name); err != nil {
			return err
		}
	}
	for watch, name := range before {
		if _, there := f.leaves[watch]; !there {
			f.queue.Drop(watch)
			f.reportLeaf(name)
		}
	}
	return nil
}

// watchLeaf watches a leaf, then reports its state, so that no change is missed in
// between.
func (f *followLoop) watchLeaf(name string) error {
	l := f.tree.leafOf(f.tree.folder, name)
	watch, err := f.queue.Add(filepath.Join(l.Dir(), "cgroup.events"), unix.IN_MODIFY)
	switch {
	case isAbsent(err):
		return nil // its removal is reported next
	case errors.Is(err, unix.ENOSPC): // no watch is left for any leaf
		return err
	case err != nil:
		f.tree.log.WithError(err).WithField("plugin", name).Warn("Cannot watch cgroup of plugin")
	default:
		f.leaves[watch] = name
	}
	f.reportLeaf(name)
	return nil
}

func (f *followLoop) forgetLeaf(name string) {
	for watch, n := range f.leaves {
		if n == name {
			f.queue.Drop(watch)
			delete(f.leaves, watch)
		}
	}
	f.reportLeaf(name)
}

// reportLeaf reports the current state of a leaf. A removed leaf is empty, unless it
// was made again meanwhile.
func (f *followLoop) reportLeaf(name string) {
	l := f.tree.leafOf(f.tree.folder, name)
	populated, err := l.Populated()
	if err != nil {
		f.tree.log.WithError(err).WithField("plugin", name).Warn("Cannot read cgroup of plugin")
		return
	}
	f.changed(name, populated)
}
