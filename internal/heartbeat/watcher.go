package heartbeat

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/inotify"
	"pluginsupervisor/plugin"
)

// Watcher reports heartbeats when they arrive and when they are overdue (EV-06).
// It sleeps until the kernel reports a file event or a deadline passes.
//
// The heartbeat file is watched for writes, and its directory for another file
// that takes its place. If the directory does not exist, its parent is watched
// until it does. What cannot be watched is tried again each minute and whenever
// Watch is called. At a deadline the file is read before the beat is called
// lost. So an event that was missed, as on a network file system, causes no
// false alarm.
type Watcher struct {
	reader *Reader
	log    logrus.FieldLogger
	wall   func() time.Time // the wall clock

	running chan struct{} // holds one element while Follow runs

	mu      sync.Mutex
	set     []plugin.Plugin
	changed bool   // set was not applied yet
	wake    func() // has the running Follow apply set; nil if none runs
}

// NewWatcher returns a Watcher of the heartbeats that r reads. It watches nothing
// until Watch and Follow are called.
func NewWatcher(r *Reader, log logrus.FieldLogger) *Watcher {
	return &Watcher{
		reader: r, log: log,
		wall:    func() time.Time { return time.Now().Round(0) },
		running: make(chan struct{}, 1),
	}
}

// Watch sets which plugins' heartbeats are watched; it replaces the last set. A
// plugin with the same Key, version and interval as before keeps its deadline.
// Watch may be called before and during Follow, from any goroutine.
func (w *Watcher) Watch(ps []plugin.Plugin) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set, w.changed = slices.Clone(ps), true
	if w.wake != nil {
		w.wake()
	}
}

// takeSet returns the set, and whether it changed since the last call.
func (w *Watcher) takeSet() (set []plugin.Plugin, changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	set, changed, w.changed = w.set, w.changed, false
	return set, changed
}

// setWake sets how to wake the running Follow; nil if none runs. A Follow that
// begins applies the set.
func (w *Watcher) setWake(wake func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wake, w.changed = wake, true
}

// Follow calls report for each pulse until ctx ends, then returns nil. The error
// says why the kernel reports no more events. report is called from one
// goroutine. While it runs, beats gather, and also for some time after beats
// were reported: at least a second for one plugin, and for all plugins a tenth
// of the shortest interval, at most 5 s. Then the last beat of each plugin is
// reported. A second Follow waits until the first has returned, and knows
// nothing of its deadlines.
//
// The beat that is in a file at the start is reported too. A file without a
// date is reported once, with Beat.Err (PL-07, PL-10). A lost beat is reported
// once, also one whose date is too old when it arrives; the next beat in time
// ends it. For a plugin without the file nothing is reported (PL-06).
func (w *Watcher) Follow(ctx context.Context, report func(plugin.HeartbeatEvent)) error {
	select {
	case w.running <- struct{}{}:
		defer func() { <-w.running }()
	case <-ctx.Done():
		return nil
	}
	files, err := inotify.Open()
	if err != nil {
		return fmt.Errorf("watch heartbeats: %w", err)
	}
	defer files.Close()
	w.setWake(files.Interrupt)
	defer w.setWake(nil)
	defer context.AfterFunc(ctx, files.Interrupt)()
	if err := newWatchLoop(w, files, report).run(ctx); err != nil {
		return fmt.Errorf("watch heartbeats: %w", err)
	}
	return nil
}
