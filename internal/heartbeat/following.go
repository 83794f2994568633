package heartbeat

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/sirupsen/logrus"

	"pluginsupervisor/plugin"
)

const (
	// retryEvery is how often a folder that is not watched is tried again.
	retryEvery = time.Minute
	// noise is how many events in a second are too many for one folder. It is
	// then left alone for a second, so that a plugin which writes without end
	// costs a bounded share of a CPU and drowns nobody else's beats.
	noise = 100
)

// folders is what tells of folders: an *fsnotify.Watcher.
type folders interface {
	Add(dir string) error
	Remove(dir string) error
}

// following is one run of Follow, and owned by its goroutine.
type following struct {
	*Watcher
	folders folders
	heard   func(plugin.Pulse)
	start   time.Time
	byKey   map[string]*vigil
	byDir   map[string]*folder
	agenda  agenda
}

// folder is what plugins share that are records of one version (ST-10): most
// often it is one plugin's.
type folder struct {
	vigils []*vigil
	second time.Duration // end of the one in which events are counted
	events int
}

func newFollowing(w *Watcher, fs folders, heard func(plugin.Pulse)) *following {
	return &following{
		Watcher: w, folders: fs, heard: heard, start: time.Now(),
		byKey: map[string]*vigil{}, byDir: map[string]*folder{},
	}
}

func (f *following) now() moment {
	return moment{mono: time.Since(f.start), wall: f.wall()}
}

// run tells until ctx ends. missed says that events were lost.
func (f *following) run(ctx context.Context, events <-chan fsnotify.Event, missed <-chan struct{}) {
	f.replace(f.watched())
	timer := time.NewTimer(0)
	defer timer.Stop()
	var set time.Duration // when timer fires
	for {
		now := f.now()
		for ; f.agenda.next() <= now.mono && ctx.Err() == nil; now = f.now() {
			f.attend(f.agenda[0], now)
		}
		if next := f.agenda.next(); next != set {
			timer.Reset(next - now.mono)
			set = next
		}
		select {
		case <-ctx.Done():
			return
		case <-f.changed:
			f.replace(f.watched())
		case ev := <-events:
			f.event(ev, f.now())
		case <-missed:
			f.log.Debug("Heartbeat events were lost, all files are read")
			now := f.now()
			for _, v := range f.byKey {
				v.arrive(now)
				f.agenda.moved(v)
			}
		case <-timer.C:
			set = 0
		}
	}
}

// event notes what happened in a folder or to it.
func (f *following) event(ev fsnotify.Event, now moment) {
	if gone := f.byDir[ev.Name]; gone != nil && ev.Has(fsnotify.Remove|fsnotify.Rename) {
		for _, v := range gone.vigils {
			v.retry = now.mono
			f.agenda.moved(v)
		}
	}
	dir, name := filepath.Split(ev.Name)
	in := f.byDir[strings.TrimSuffix(dir, "/")]
	if in == nil {
		return
	}
	if in.count(now) > noise {
		_ = f.folders.Remove(in.vigils[0].dir) // fails if it is gone, and is watched no more then either
		for _, v := range in.vigils {
			v.noisy, v.retry = true, now.mono+burst
			f.agenda.moved(v)
		}
	}
	if name == fileName && ev.Op != fsnotify.Chmod {
		for _, v := range in.vigils {
			v.arrive(now)
			f.agenda.moved(v)
		}
	}
}

// count counts an event, and returns how many there were in this second.
func (d *folder) count(now moment) int {
	if now.mono >= d.second {
		d.second, d.events = now.mono+time.Second, 0
	}
	d.events++
	return d.events
}

// attend does what is due for a plugin. A deadline that passes may mean that
// the folder watched is not the one at this path any more.
func (f *following) attend(v *vigil, now moment) {
	if v.retry <= now.mono || v.deadline <= now.mono {
		f.enter(v, now)
		if v.noisy { // then what the file says has come, not just been found
			v.noisy, v.heard, v.arrival = false, true, now
		}
		v.look = now.mono
	}
	var pulse plugin.Pulse
	var tell bool
	if v.look <= now.mono {
		pulse, tell = v.see(now, f.reader.beat(v.beat.Plugin, now.wall))
	}
	if lost, passed := v.expire(now); passed {
		pulse, tell, v.retry = lost, true, now.mono+retryEvery
	}
	f.agenda.moved(v)
	if tell {
		f.heard(pulse)
	}
}

// enter has the plugin's folder watched; what is watched already stays so.
// While that fails, and while the beat is lost, it is tried again.
func (f *following) enter(v *vigil, now moment) {
	v.retry = never
	if v.dir == "" {
		return
	}
	err := f.folders.Add(v.dir)
	if err != nil || v.lost {
		v.retry = now.mono + retryEvery
	}
	if err == nil {
		v.refused = false
		return
	}
	if absent := errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR); !absent && !v.refused {
		v.refused = true
		f.log.WithFields(logrus.Fields{"plugin": v.beat.Plugin.Name, "version": v.beat.Plugin.Version}).
			WithError(err).Warn("Heartbeat folder cannot be watched, its file is read at deadlines and each minute")
	}
}

// replace makes ps what is watched.
func (f *following) replace(ps []plugin.Plugin) {
	keep := make(map[string]*vigil, len(ps))
	for _, p := range ps {
		key := p.Key()
		if keep[key] != nil {
			continue
		}
		v := f.byKey[key]
		switch {
		case v != nil && v.beat.Plugin.Version == p.Version && v.beat.Plugin.HeartbeatInterval == p.HeartbeatInterval:
			delete(f.byKey, key)
			v.beat.Plugin = p
			v.retry = 0
			f.agenda.moved(v)
		default:
			dir, err := f.reader.folder(p)
			if err != nil {
				dir = "" // said by a look at the file
			}
			v = newVigil(p, dir)
			if f.byDir[dir] == nil {
				f.byDir[dir] = &folder{}
			}
			f.byDir[dir].vigils = append(f.byDir[dir].vigils, v)
			f.agenda.add(v)
		}
		keep[key] = v
	}
	for _, gone := range f.byKey {
		f.drop(gone)
	}
	f.byKey = keep
}

func (f *following) drop(v *vigil) {
	f.agenda.remove(v)
	in := f.byDir[v.dir]
	in.vigils = slices.DeleteFunc(in.vigils, func(other *vigil) bool { return other == v })
	if len(in.vigils) == 0 {
		delete(f.byDir, v.dir)
		_ = f.folders.Remove(v.dir) // fails if it was not watched or is gone
	}
}
