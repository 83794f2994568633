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

// Follow tells whether plugins' leaves hold processes: of each leaf that is
// there at first, of each that is made later, and whenever the kernel says that
// it changed; of one that is removed, that it holds none. The same may be told
// again. It returns nil when ctx ends, and an error when the kernel has no watch
// left for one of them.
//
// changed is called by one goroutine, which waits for it.
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
	f := &following{tree: t, queue: queue, changed: changed}
	err := f.lookAll()
	for err == nil && ctx.Err() == nil {
		var events []inotify.Event
		events, err = queue.Read(time.Time{})
		for _, e := range events {
			if err == nil {
				err = f.handle(e)
			}
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("follow cgroups: %w", err)
}

// following is one run of Follow.
type following struct {
	tree    *Tree
	queue   *inotify.Queue
	changed func(string, bool)
	place   int            // watch of where our folder is
	folder  int            // watch of our folder, in which leaves come and go
	leaves  map[int]string // names by watch of their cgroup.events
}

// handle takes one event. What is of a watch that has ended is not ours.
func (f *following) handle(e inotify.Event) error {
	name, known := f.leaves[e.Watch]
	switch {
	case e.Mask&unix.IN_Q_OVERFLOW != 0:
		f.tree.log.Debug("Events of cgroups were lost, all are looked at")
		return f.lookAll()
	case e.Watch == f.place:
		if e.Name == f.tree.folder { // somebody removed it, and we or he made it anew
			return f.lookAll()
		}
	case e.Watch == f.folder && e.Mask&unix.IN_CREATE != 0:
		return f.watch(f.tree.nameOf(e.Name))
	case e.Watch == f.folder && e.Mask&unix.IN_DELETE != 0:
		f.forget(f.tree.nameOf(e.Name))
	case known && e.Mask&unix.IN_IGNORED != 0:
		delete(f.leaves, e.Watch)
	case known:
		f.tell(name)
	}
	return nil
}

// lookAll begins anew with what leaves there are. Those that are gone are
// told of as removed.
func (f *following) lookAll() error {
	const comings = unix.IN_CREATE | unix.IN_DELETE | unix.IN_ONLYDIR
	var err error
	if f.place, err = f.queue.Add(f.tree.place.dir, comings); err != nil {
		return err
	}
	if err := os.MkdirAll(f.tree.Dir(), 0o755); err != nil {
		return err
	}
	folder, err := f.queue.Add(f.tree.Dir(), comings)
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
		if err := f.watch(name); err != nil {
			return err
		}
	}
	for watch, name := range before {
		if _, there := f.leaves[watch]; !there {
			f.queue.Drop(watch)
			f.tell(name)
		}
	}
	return nil
}

// watch comes before the look, so that no change falls between the two.
func (f *following) watch(name string) error {
	l := f.tree.leafOf(f.tree.folder, name)
	watch, err := f.queue.Add(filepath.Join(l.Dir(), "cgroup.events"), unix.IN_MODIFY)
	switch {
	case gone(err):
		return nil // its removal is the next that is heard of it
	case errors.Is(err, unix.ENOSPC): // nor for any other leaf
		return err
	case err != nil:
		f.tree.log.WithError(err).WithField("plugin", name).Warn("Cgroup of plugin cannot be watched")
	default:
		f.leaves[watch] = name
	}
	f.tell(name)
	return nil
}

func (f *following) forget(name string) {
	for watch, n := range f.leaves {
		if n == name {
			f.queue.Drop(watch)
			delete(f.leaves, watch)
		}
	}
	f.tell(name)
}

// tell says what is so now: a leaf that is gone is empty, one that was made
// anew since may not be.
func (f *following) tell(name string) {
	l := f.tree.leafOf(f.tree.folder, name)
	populated, err := l.Populated()
	if err != nil {
		f.tree.log.WithError(err).WithField("plugin", name).Warn("Cgroup of plugin cannot be read")
		return
	}
	f.changed(name, populated)
}
