package heartbeat

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/inotify"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// retryEvery is how often a folder that is not watched is tried again.
const retryEvery = time.Minute

// queue is the kernel's file events: an *inotify.Queue.
type queue interface {
	Add(path string, mask uint32) (watch int, err error)
	Drop(watch int)
	Rest(d time.Duration)
	Read(until time.Time) ([]inotify.Event, error)
}

// following is one run of Follow, and owned by its goroutine.
type following struct {
	*Watcher
	queue   queue
	heard   func(plugin.Pulse)
	start   time.Time
	byKey   map[string]*vigil
	byDir   map[string]*folder
	byWatch map[int][]*folder // most often one; folders that are not there wait at one place
	agenda  agenda
	told    time.Duration // when the queue last gave events
	rested  time.Duration // how long it rests after that
}

func newFollowing(w *Watcher, q queue, heard func(plugin.Pulse)) *following {
	return &following{
		Watcher: w, queue: q, heard: heard, start: time.Now(),
		byKey: map[string]*vigil{}, byDir: map[string]*folder{}, byWatch: map[int][]*folder{},
	}
}

func (f *following) now() moment {
	return moment{mono: time.Since(f.start), wall: f.wall()}
}

// run tells until ctx ends or the queue fails. It sleeps in one place only.
func (f *following) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if ps, news := f.take(); news {
			f.replace(ps)
		}
		now := f.now()
		for ; f.agenda.next() <= now.mono && ctx.Err() == nil; now = f.now() {
			f.attend(f.agenda[0], now)
		}
		var until time.Time
		if next := f.agenda.next(); next != never {
			until = f.start.Add(next)
		}
		rest := f.rest()
		f.queue.Rest(rest)
		events, err := f.queue.Read(until)
		if err != nil {
			return err
		}
		if now = f.now(); len(events) > 0 {
			for _, e := range events {
				f.event(e, now)
			}
			f.told, f.rested = now.mono, rest
		}
	}
	return nil
}

// gathers is how long the events of all plugins gather at most: what wakes us
// costs more than what it is about.
const gathers = 5 * time.Second

// rest is how long events may gather without anybody noticing: nobody's beat
// is known as much as a tenth of its interval too late, and one that was lost
// is back as soon as a plugin's own beats may be told again.
func (f *following) rest() time.Duration {
	rest := gathers
	for _, v := range f.byKey {
		rest = min(rest, v.beat.Plugin.HeartbeatInterval/10)
		if v.lost {
			rest = min(rest, burst)
		}
	}
	return rest
}

// event notes what the kernel tells. What is of a watch that was given up was
// seen by the look that followed.
func (f *following) event(e inotify.Event, now moment) {
	if e.Mask&unix.IN_Q_OVERFLOW != 0 {
		f.log.Debug("Heartbeat events were lost, all files are read")
		for _, in := range f.byDir {
			f.arrive(in, now)
			f.again(in, now.mono)
		}
	}
	for _, in := range slices.Clone(f.byWatch[e.Watch]) {
		f.happened(in, e, now)
	}
}

// happened notes what the kernel tells of one of a folder's watches.
func (f *following) happened(in *folder, e inotify.Event, now moment) {
	if in.count(now) > noise {
		f.leave(in)
		for _, v := range in.vigils {
			v.noisy = true
		}
		f.again(in, now.mono+burst)
		return
	}
	of := in.spot(e.Watch)
	if e.Mask&unix.IN_IGNORED != 0 { // the kernel ended it
		f.hold(in, of, 0)
	}
	switch {
	case of == above && e.Name == filepath.Base(in.dir), of == place && e.Name == "": // it came, or it moved away or is gone
		f.again(in, now.mono)
	case of == file && e.Mask&(unix.IN_MODIFY|unix.IN_CLOSE_WRITE) != 0:
		if e.Mask&unix.IN_CLOSE_WRITE != 0 && !in.closes && !in.keeps {
			in.closes = true
			f.again(in, now.mono)
		}
		f.arrive(in, now)
	case of == file, of == place && e.Name == layout.Heartbeat:
		f.another(in, now)
	}
}

// another finds out whether there is another heartbeat now, or none any more.
// A change of its mode or of how many names it has is no beat.
func (f *following) another(in *folder, now moment) {
	was := in.watches[file]
	if err := f.enter(in); err != nil {
		f.again(in, now.mono)
	}
	if is := in.watches[file]; is == 0 || is != was {
		f.arrive(in, now)
	}
}

// arrive notes that something happened to the heartbeat.
func (f *following) arrive(in *folder, now moment) {
	for _, v := range in.vigils {
		v.arrive(now, min(f.rested, now.mono-f.told))
		f.agenda.moved(v)
	}
}

// again has the folder entered anew at that time.
func (f *following) again(in *folder, at time.Duration) {
	for _, v := range in.vigils {
		v.retry = at
		f.agenda.moved(v)
	}
}

// attend does what is due for a plugin. A deadline that passes, or a heartbeat
// that is gone, may mean that the folder watched is not the one at this path
// any more: then it is entered before the file is read.
func (f *following) attend(v *vigil, now moment) {
	var refused error
	enters := v.retry <= now.mono || v.deadline <= now.mono
	if enters {
		refused = f.enter(v.in)
		f.logRefusal(v, refused)
		v.retry = never
		if refused != nil || v.lost {
			v.retry = now.mono + retryEvery
		}
		if v.noisy { // then what the file says has come, not just been found
			v.noisy, v.heard, v.arrival = false, true, now
		}
		v.look = now.mono
	}
	var pulse plugin.Pulse
	var tell bool
	if v.look <= now.mono {
		b, written := f.reader.beat(v.beat.Plugin, now.wall)
		v.written(written)
		if b.Found && absent(refused) || !b.Found && v.beat.Found && !enters {
			v.retry = now.mono + settle // it came after we had entered, or went and another folder may have come
		}
		if v.in.closes && v.unheard(b) {
			v.in.closes, v.in.keeps = false, true
			f.again(v.in, now.mono)
		}
		pulse, tell = v.see(now, b)
	}
	if lost, passed := v.expire(now); passed {
		pulse, tell, v.retry = lost, true, now.mono+retryEvery
	}
	f.agenda.moved(v)
	if tell {
		f.heard(pulse)
	}
}

// enter has the folder and the heartbeat in it watched; what is watched already
// stays so. A look at the file must follow, as whatever happened before is told
// by no event. The error says why the one or the other is not watched; that
// there is no heartbeat is none.
//
// What is not there is looked for once more after its coming was asked for, as
// it may have come in between.
func (f *following) enter(in *folder) error {
	if in.dir == "" {
		return nil
	}
	err := f.watch(in, place, in.dir, in.comings())
	if absent(err) {
		_ = f.watch(in, above, filepath.Dir(in.dir), unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ONLYDIR)
		err = f.watch(in, place, in.dir, in.comings())
	}
	if err != nil {
		f.hold(in, file, 0)
		return err
	}
	f.hold(in, above, 0)
	err = f.watch(in, file, in.path, in.writings())
	if awaits := err != nil; in.awaits != awaits {
		in.awaits = awaits
		return f.enter(in)
	}
	if absent(err) {
		return nil
	}
	return err
}

// watch has what is at the path now watched, or else nothing.
func (f *following) watch(in *folder, at spot, path string, mask uint32) error {
	watch, err := f.queue.Add(path, mask)
	f.hold(in, at, watch)
	return err
}

// leave ends what is watched.
func (f *following) leave(in *folder) {
	for at := range in.watches {
		f.hold(in, spot(at), 0)
	}
}

// hold makes one of the folder's watches the given one, and gives up the last.
func (f *following) hold(in *folder, at spot, watch int) {
	was := in.watches[at]
	if was == watch {
		return
	}
	in.watches[at] = watch
	if watch != 0 {
		f.byWatch[watch] = append(f.byWatch[watch], in)
	}
	if was == 0 {
		return
	}
	others := slices.DeleteFunc(f.byWatch[was], func(d *folder) bool { return d == in })
	if f.byWatch[was] = others; len(others) == 0 {
		delete(f.byWatch, was)
		f.queue.Drop(was)
	}
}

func (f *following) logRefusal(v *vigil, err error) {
	was := v.in.refused
	v.in.refused = err != nil && !absent(err)
	if v.in.refused && !was {
		f.log.WithFields(logrus.Fields{"plugin": v.beat.Plugin.Name, "version": v.beat.Plugin.Version}).
			WithError(err).Warn("Heartbeat cannot be watched, its file is read at deadlines and each minute")
	}
}

func absent(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR)
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
		if v != nil && v.beat.Plugin.Version == p.Version && v.beat.Plugin.HeartbeatInterval == p.HeartbeatInterval {
			delete(f.byKey, key)
			v.beat.Plugin, v.retry = p, 0
			f.agenda.moved(v)
		} else {
			v = f.begin(p)
		}
		keep[key] = v
	}
	for _, gone := range f.byKey {
		f.drop(gone)
	}
	f.byKey = keep
}

func (f *following) begin(p plugin.Plugin) *vigil {
	dir, err := f.reader.folder(p)
	if err != nil {
		dir = "" // said by a look at the file
	}
	in := f.byDir[dir]
	if in == nil {
		in = newFolder(dir)
		f.byDir[dir] = in
	}
	v := newVigil(p, in)
	in.vigils = append(in.vigils, v)
	f.agenda.add(v)
	return v
}

func (f *following) drop(v *vigil) {
	f.agenda.remove(v)
	v.in.vigils = slices.DeleteFunc(v.in.vigils, func(other *vigil) bool { return other == v })
	if len(v.in.vigils) == 0 {
		f.leave(v.in)
		delete(f.byDir, v.in.dir)
	}
}
