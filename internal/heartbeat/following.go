package heartbeat

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/inotify"
	"pluginsupervisor/plugin"
)

// retryEvery is how often a folder that is not watched is tried again.
const retryEvery = time.Minute

// queue is the kernel's file events: an *inotify.Queue.
type queue interface {
	Add(path string, mask uint32) (watch int, err error)
	Drop(watch int)
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
	byWatch map[int]*folder
	agenda  agenda
}

func newFollowing(w *Watcher, q queue, heard func(plugin.Pulse)) *following {
	return &following{
		Watcher: w, queue: q, heard: heard, start: time.Now(),
		byKey: map[string]*vigil{}, byDir: map[string]*folder{}, byWatch: map[int]*folder{},
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
		events, err := f.queue.Read(until)
		if err != nil {
			return err
		}
		now = f.now()
		for _, e := range events {
			f.event(e, now)
		}
	}
	return nil
}

// event notes what the kernel tells. What is of a watch that was given up was
// seen by the look that followed.
func (f *following) event(e inotify.Event, now moment) {
	in := f.byWatch[e.Watch]
	switch {
	case e.Mask&unix.IN_Q_OVERFLOW != 0:
		f.log.Debug("Heartbeat events were lost, all files are read")
		for _, in := range f.byDir {
			f.arrive(in, now)
			f.again(in, now.mono)
		}
	case in == nil:
	case in.count(now) > noise:
		f.leave(in)
		for _, v := range in.vigils {
			v.noisy = true
		}
		f.again(in, now.mono+burst)
	case e.Watch == in.place && e.Name == "": // moved away or gone
		f.ended(in, e)
		f.again(in, now.mono)
	case e.Watch == in.place && e.Name != fileName:
	case e.Watch == in.place || e.Mask&(unix.IN_MODIFY|unix.IN_CLOSE_WRITE) == 0:
		f.ended(in, e)
		f.another(in, now)
	default:
		if e.Mask&unix.IN_CLOSE_WRITE != 0 && !in.closes && !in.keeps {
			in.closes = true
			_ = f.enter(in) // if that fails, more is heard of than need be
		}
		f.arrive(in, now)
	}
}

// ended notes that the kernel ended a watch.
func (f *following) ended(in *folder, e inotify.Event) {
	if e.Mask&unix.IN_IGNORED == 0 {
		return
	}
	delete(f.byWatch, e.Watch)
	for _, watch := range []*int{&in.place, &in.file} {
		if *watch == e.Watch {
			*watch = 0
		}
	}
}

// another finds out whether there is another heartbeat now, or none any more.
// A change of its mode or of how many names it has is no beat.
func (f *following) another(in *folder, now moment) {
	was := in.file
	if err := f.enter(in); err != nil {
		f.again(in, now.mono)
	}
	if in.file == 0 || in.file != was {
		f.arrive(in, now)
	}
}

// arrive notes that something happened to the heartbeat.
func (f *following) arrive(in *folder, now moment) {
	for _, v := range in.vigils {
		v.arrive(now)
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
// any more.
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
		b := f.reader.beat(v.beat.Plugin, now.wall)
		if b.Found && absent(refused) || !b.Found && v.beat.Found && !enters {
			v.retry = now.mono // it came after we had entered, or went after we had been told
		}
		if v.in.closes && v.unheard(b) {
			v.in.closes, v.in.keeps = false, true
			_ = f.enter(v.in) // if that fails, the next deadline tries again
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
func (f *following) enter(in *folder) error {
	if in.dir == "" {
		return nil
	}
	place, err := f.queue.Add(in.dir, in.comings())
	f.hold(in, &in.place, place)
	if err != nil {
		f.hold(in, &in.file, 0)
		return err
	}
	file, err := f.queue.Add(in.path, in.writings())
	f.hold(in, &in.file, file)
	switch awaited := in.awaits; {
	case file == 0 && !awaited:
		in.awaits = true
		return f.enter(in) // it may have come before its coming was asked for
	case file != 0 && awaited:
		in.awaits = false
		_, _ = f.queue.Add(in.dir, in.comings()) // if that fails, more is heard of than need be
	}
	if absent(err) {
		return nil
	}
	return err
}

// leave ends what is watched.
func (f *following) leave(in *folder) {
	f.hold(in, &in.place, 0)
	f.hold(in, &in.file, 0)
}

// hold makes one of the folder's watches the given one, and gives up the last.
func (f *following) hold(in *folder, watch *int, is int) {
	if *watch == is {
		return
	}
	if f.byWatch[*watch] == in {
		delete(f.byWatch, *watch)
		f.queue.Drop(*watch)
	}
	if *watch = is; is != 0 {
		f.byWatch[is] = in
	}
}

func (f *following) logRefusal(v *vigil, err error) {
	was := v.in.refused
	v.in.refused = err != nil && !absent(err)
	if v.in.refused && !was {
		f.log.WithFields(logrus.Fields{"plugin": v.beat.Plugin.Name, "version": v.beat.Plugin.Version}).
			WithError(err).Warn("Heartbeat folder cannot be watched, its file is read at deadlines and each minute")
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
