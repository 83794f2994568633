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

	"pluginsupervisor/internal/bounded"
	"pluginsupervisor/internal/inotify"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

const (
	// retryEvery is the interval at which a failed watch is retried.
	retryEvery = time.Minute
	// maxRest is the longest time for which the events of all plugins are
	// collected: waking up costs more than handling them.
	maxRest = 5 * time.Second
)

// queue delivers the kernel's file events: an *inotify.Queue.
type queue interface {
	Add(path string, mask uint32) (watch int, err error)
	Drop(watch int)
	Rest(d time.Duration)
	Read(until time.Time) ([]inotify.Event, error)
}

// watchLoop is one run of Follow. Its fields are used by that goroutine only.
type watchLoop struct {
	*Watcher
	queue   queue
	report  func(plugin.HeartbeatEvent)
	start   time.Time
	byKey   map[string]*beatDeadline
	byDir   map[string]*watchedDir
	byWatch map[int][]*watchedDir // mostly one; missing directories can share the watch of their parent
	heap    deadlineHeap
}

func newWatchLoop(w *Watcher, q queue, report func(plugin.HeartbeatEvent)) *watchLoop {
	return &watchLoop{
		Watcher: w, queue: q, report: report, start: time.Now(),
		byKey: map[string]*beatDeadline{}, byDir: map[string]*watchedDir{}, byWatch: map[int][]*watchedDir{},
	}
}

func (l *watchLoop) now() instant {
	return instant{mono: time.Since(l.start), wall: l.wall()}
}

// run reports heartbeats until ctx ends or the queue fails. It sleeps only in Read.
func (l *watchLoop) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if ps, changed := l.takeSet(); changed {
			l.replaceSet(ps, l.now())
		}
		for now := l.now(); l.heap.next() <= now.mono && ctx.Err() == nil; now = l.now() {
			l.handleDue(l.heap[0], now)
		}
		var until time.Time
		if next := l.heap.next(); next != never {
			until = l.start.Add(next)
		}
		l.queue.Rest(l.restTime())
		events, err := l.queue.Read(until)
		if err != nil {
			return err
		}
		now := l.now()
		for _, e := range events {
			l.handleEvent(e, now)
		}
	}
	return nil
}

// restTime returns the time for which events may be collected: at most a tenth of
// the shortest interval, and while a heartbeat is lost at most burst, so that its
// return is reported soon.
func (l *watchLoop) restTime() time.Duration {
	rest := maxRest
	for _, d := range l.byKey {
		rest = min(rest, d.beat.Plugin.HeartbeatInterval/10)
		if d.lost {
			rest = min(rest, burst)
		}
	}
	return rest
}

// handleEvent handles an event of the kernel. Events of removed watches are
// ignored: the file was read after the removal.
func (l *watchLoop) handleEvent(e inotify.Event, now instant) {
	if e.Mask&unix.IN_Q_OVERFLOW != 0 {
		l.log.Debug("Heartbeat events were lost, reading all files")
		for _, dir := range l.byDir {
			l.noteEvent(dir, now)
			l.scheduleWatch(dir, now.mono)
		}
	}
	for _, dir := range slices.Clone(l.byWatch[e.Watch]) {
		l.handleDirEvent(dir, e, now)
	}
}

// handleDirEvent handles an event of one of a directory's watches.
func (l *watchLoop) handleDirEvent(dir *watchedDir, e inotify.Event, now instant) {
	if dir.countEvent(now) > maxEvents {
		l.removeWatches(dir)
		for _, d := range dir.deadlines {
			d.notified = true // the file may change until the directory is watched again
		}
		l.scheduleWatch(dir, now.mono+burst)
		return
	}
	of := dir.targetOf(e.Watch)
	if e.Mask&unix.IN_IGNORED != 0 { // the kernel removed the watch
		l.setWatch(dir, of, 0)
	}
	switch {
	case of == parent && e.Name == filepath.Base(dir.dir), of == directory && e.Name == "": // the directory was created, moved or removed
		l.scheduleWatch(dir, now.mono)
	case of == file && e.Mask&(unix.IN_MODIFY|unix.IN_CLOSE_WRITE) != 0:
		if e.Mask&unix.IN_CLOSE_WRITE != 0 && !dir.usesClose && !dir.staysOpen {
			dir.usesClose = true
			l.scheduleWatch(dir, now.mono)
		}
		l.noteEvent(dir, now)
	case of == file, of == directory && e.Name == layout.Heartbeat:
		l.checkFileReplaced(dir, now)
	}
}

// checkFileReplaced notes an event if the heartbeat file was replaced or removed. A
// change of the file's mode or number of links is not a heartbeat.
func (l *watchLoop) checkFileReplaced(dir *watchedDir, now instant) {
	before := dir.watches[file]
	if err := l.addWatches(dir); err != nil {
		l.scheduleWatch(dir, now.mono)
	}
	if after := dir.watches[file]; after == 0 || after != before {
		l.noteEvent(dir, now)
	}
}

// noteEvent notes an event of the heartbeat file.
func (l *watchLoop) noteEvent(dir *watchedDir, now instant) {
	for _, d := range dir.deadlines {
		d.noteEvent(now)
		l.heap.update(d)
	}
}

// scheduleWatch schedules when the directory is watched again.
func (l *watchLoop) scheduleWatch(dir *watchedDir, at time.Duration) {
	for _, d := range dir.deadlines {
		d.nextWatch = at
		l.heap.update(d)
	}
}

// handleDue does the work that is due for a plugin: it watches the directory again,
// reads the file, and reports a heartbeat or its loss. When a deadline passes, the
// watched directory may have been replaced. So the directory is watched again and
// the file read before the heartbeat is reported as lost.
func (l *watchLoop) handleDue(d *beatDeadline, now instant) {
	var watchErr error
	rewatch := d.nextWatch <= now.mono || d.deadline <= now.mono
	if rewatch {
		watchErr = l.watchAgain(d, now)
		d.nextRead = now.mono
	}
	var event plugin.HeartbeatEvent
	var report bool
	if d.nextRead <= now.mono {
		r := l.reader.readFile(d.beat.Plugin)
		cameAfterWatch := r.found && isAbsent(watchErr)
		wentUnwatched := !r.found && d.beat.Found && !rewatch // the directory may have been replaced
		if cameAfterWatch || wentUnwatched {
			d.nextWatch = now.mono + minRetry
		}
		if d.dir.usesClose && d.missedEvent(r) {
			d.dir.usesClose, d.dir.staysOpen = false, true
			l.scheduleWatch(d.dir, now.mono)
		}
		event, report = d.update(now, r)
	}
	if lost, expired := d.expire(now); expired {
		event, report, d.nextWatch = lost, true, now.mono+retryEvery
	}
	l.heap.update(d)
	if report {
		l.report(event)
	}
}

// watchAgain watches the directory and the file of a plugin, and schedules the next
// attempt if that failed or the heartbeat is lost.
func (l *watchLoop) watchAgain(d *beatDeadline, now instant) error {
	err := l.addWatches(d.dir)
	l.logWatchError(d, err)
	d.nextWatch = never
	if err != nil || d.lost {
		d.nextWatch = now.mono + retryEvery
	}
	return err
}

// addWatches watches the directory and the heartbeat file in it. Existing watches
// stay. The caller must read the file afterwards, because earlier changes cause no
// event. After an error the directory or the file is not watched; a missing
// heartbeat file is no error.
//
// If the directory does not exist, its parent is watched and the directory is tried
// once more, because it may have been created in between. The same applies to the
// file and its directory.
func (l *watchLoop) addWatches(dir *watchedDir) error {
	if dir.dir == "" {
		return nil
	}
	err := l.addWatch(dir, directory, dir.dir, dir.dirMask())
	if isAbsent(err) {
		_ = l.addWatch(dir, parent, filepath.Dir(dir.dir), unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ONLYDIR)
		err = l.addWatch(dir, directory, dir.dir, dir.dirMask())
	}
	if err != nil {
		l.setWatch(dir, file, 0)
		return err
	}
	l.setWatch(dir, parent, 0)
	err = l.addWatch(dir, file, dir.path, dir.fileMask())
	if awaitsFile := err != nil; dir.awaitsFile != awaitsFile {
		dir.awaitsFile = awaitsFile
		return l.addWatches(dir)
	}
	if isAbsent(err) {
		return nil
	}
	return err
}

// addWatch watches the path. After an error the target is not watched. If the path
// answers too late, the watch is used when the path is watched again: it then has
// the same number. Until then its events are ignored.
func (l *watchLoop) addWatch(dir *watchedDir, at target, path string, mask uint32) error {
	type added struct {
		watch int
		err   error
	}
	hung := &l.reader.hung
	got, err := bounded.Run(hung, dir.dir, hung.NextLimit(answerLimit), func() (a added) {
		a.watch, a.err = l.queue.Add(path, mask)
		return a
	}, nil)
	if err == nil {
		err = got.err
	}
	l.setWatch(dir, at, got.watch)
	return err
}

// removeWatches removes all watches of a directory.
func (l *watchLoop) removeWatches(dir *watchedDir) {
	for at := range dir.watches {
		l.setWatch(dir, target(at), 0)
	}
}

// setWatch sets the watch of a target and removes its old one, unless other
// directories use that too.
func (l *watchLoop) setWatch(dir *watchedDir, at target, watch int) {
	before := dir.watches[at]
	if before == watch {
		return
	}
	dir.watches[at] = watch
	if watch != 0 {
		l.byWatch[watch] = append(l.byWatch[watch], dir)
	}
	if before == 0 {
		return
	}
	others := slices.DeleteFunc(l.byWatch[before], func(d *watchedDir) bool { return d == dir })
	if l.byWatch[before] = others; len(others) == 0 {
		delete(l.byWatch, before)
		l.queue.Drop(before)
	}
}

func (l *watchLoop) logWatchError(d *beatDeadline, err error) {
	logged := d.dir.errorLogged
	d.dir.errorLogged = err != nil && !isAbsent(err)
	if d.dir.errorLogged && !logged {
		l.log.WithFields(logrus.Fields{"plugin": d.beat.Plugin.Name, "version": d.beat.Plugin.Version}).
			WithError(err).Warn("Cannot watch heartbeat file, reading it at deadlines and each minute")
	}
}

// isAbsent reports whether the error means that a file does not exist.
func isAbsent(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR)
}

// replaceSet replaces the set of watched plugins.
func (l *watchLoop) replaceSet(ps []plugin.Plugin, now instant) {
	keep := make(map[string]*beatDeadline, len(ps))
	for _, p := range ps {
		key := p.Key()
		if keep[key] != nil {
			continue
		}
		d := l.byKey[key]
		if d != nil && d.beat.Plugin.Version == p.Version && d.beat.Plugin.HeartbeatInterval == p.HeartbeatInterval {
			delete(l.byKey, key)
			d.beat.Plugin, d.nextWatch = p, now.mono
			l.heap.update(d)
		} else {
			d = l.addPlugin(p, now)
		}
		keep[key] = d
	}
	for _, d := range l.byKey {
		l.removePlugin(d)
	}
	l.byKey = keep
}

func (l *watchLoop) addPlugin(p plugin.Plugin, now instant) *beatDeadline {
	path, err := l.reader.pluginDir(p)
	if err != nil {
		path = "" // reading the file reports the error
	}
	dir := l.byDir[path]
	if dir == nil {
		dir = newWatchedDir(path)
		l.byDir[path] = dir
	}
	d := newBeatDeadline(p, dir, now)
	dir.deadlines = append(dir.deadlines, d)
	l.heap.add(d)
	return d
}

func (l *watchLoop) removePlugin(d *beatDeadline) {
	l.heap.remove(d)
	d.dir.deadlines = slices.DeleteFunc(d.dir.deadlines, func(other *beatDeadline) bool { return other == d })
	if len(d.dir.deadlines) == 0 {
		l.removeWatches(d.dir)
		delete(l.byDir, d.dir.dir)
	}
}
