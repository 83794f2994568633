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

// Watcher tells of heartbeats when they come and when they stay away (EV-06).
// It sleeps until the kernel tells of a file or a deadline passes.
//
// The file is watched for what is written to it, and its folder for another
// that takes its place. A folder that is not there is waited for where it
// should be. What cannot be watched is tried again each minute and whenever
// Watch is called. At a deadline the file is read before a word is said, so an
// event that was missed, as on a network file system, makes no false alarm.
type Watcher struct {
	reader *Reader
	log    logrus.FieldLogger
	wall   func() time.Time // the wall clock

	turn chan struct{} // holds one element while Follow runs

	mu   sync.Mutex
	set  []plugin.Plugin
	news bool   // set was not taken up yet
	wake func() // has the Follow that runs take it up; nil: none runs
}

// NewWatcher returns a Watcher of heartbeats that r reads. It watches nothing
// until Watch and Follow are called.
func NewWatcher(r *Reader, log logrus.FieldLogger) *Watcher {
	return &Watcher{
		reader: r, log: log,
		wall: func() time.Time { return time.Now().Round(0) },
		turn: make(chan struct{}, 1),
	}
}

// Watch sets which plugins' heartbeats are watched; it replaces the last set.
// One with the same Key, version and interval as before keeps its deadline, any
// other begins anew. It may be called before or during Follow, from any goroutine.
func (w *Watcher) Watch(ps []plugin.Plugin) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set, w.news = slices.Clone(ps), true
	if w.wake != nil {
		w.wake()
	}
}

// take gives the set if it is news.
func (w *Watcher) take() (set []plugin.Plugin, news bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	set, news, w.news = w.set, w.news, false
	return set, news
}

// wakeBy begins or, with nil, ends a Follow. To one that begins the set is news.
func (w *Watcher) wakeBy(wake func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wake, w.news = wake, true
}

// Follow tells until ctx ends, then returns nil; an error says why the kernel
// tells no more. heard is called from one goroutine, and while it runs beats
// only gather; so they do for a while after some were told, when the last of
// each plugin is: at least a second for one plugin, and for all of them a tenth
// of the shortest interval, at most 5 s. A second Follow waits until the first has ended, and begins anew.
//
// The beat that is in a file at the beginning is told too, as is, once, a file
// that says nothing (Beat.Err; PL-07, PL-10). A lost beat is told once, with
// the last beat there was; the next that comes ends it. Of a plugin without the
// file nothing is told (PL-06).
func (w *Watcher) Follow(ctx context.Context, heard func(plugin.Pulse)) error {
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return nil
	}
	files, err := inotify.Open()
	if err != nil {
		return fmt.Errorf("watch heartbeats: %w", err)
	}
	defer files.Close()
	w.wakeBy(files.Interrupt)
	defer w.wakeBy(nil)
	defer context.AfterFunc(ctx, files.Interrupt)()
	if err := newFollowing(w, files, heard).run(ctx); err != nil {
		return fmt.Errorf("watch heartbeats: %w", err)
	}
	return nil
}
