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
// The heartbeat file is watched for writes, and its directory for a file that
// replaces it. If the directory does not exist, its parent is watched until it
// does. A failed watch is retried each minute and whenever Watch is called. At a
// deadline the file is read before the heartbeat is reported as lost, so a missed
// event, as on a network file system, causes no false alarm.
type Watcher struct {
	reader *Reader
	log    logrus.FieldLogger
	wall   func() time.Time // the wall clock

	running chan struct{} // holds one element while Follow runs

	mu      sync.Mutex
	set     []plugin.Plugin
	changed bool   // set is not applied yet
	wake    func() // makes the running Follow apply set; nil if none runs
}

// NewWatcher returns a Watcher that reads heartbeats with r. It watches nothing
// until Watch and Follow are called.
func NewWatcher(r *Reader, log logrus.FieldLogger) *Watcher {
	return &Watcher{
		reader: r, log: log,
		wall:    func() time.Time { return time.Now().Round(0) },
		running: make(chan struct{}, 1),
	}
}

// Watch sets the plugins to watch and replaces the last set. A plugin with the
// same Key, version and interval as before keeps its deadline.
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

// setWake sets the function that wakes the running Follow; nil if none runs. A
// Follow that begins applies the set.
func (w *Watcher) setWake(wake func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wake, w.changed = wake, true
}

// Follow calls report for each heartbeat event until ctx ends, then returns nil.
// After an error the kernel reports no more events. report is called from one
// goroutine. While it runs, heartbeats are collected, and also for some time after
// a report: at least a second for one plugin, and for all plugins a tenth of the
// shortest interval, at most 5 s. Then the last heartbeat of each plugin is
// reported. A second Follow waits until the first has returned, and starts with
// new deadlines.
//
// The heartbeat in a file at the start is reported too. A file without a date is
// reported once, with Heartbeat.Err (PL-07, PL-10). A lost heartbeat is reported
// once, also if its date is too old when it arrives; the next one in time clears
// the loss. For a plugin without the file nothing is reported (PL-06).
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
