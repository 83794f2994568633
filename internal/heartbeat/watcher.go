package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"pluginsupervisor/plugin"
)

// Watcher tells of heartbeats when they come and when they stay away (EV-06).
// It sleeps until the kernel tells of a file or a deadline passes.
//
// The folder is watched, not the file, which may be written in place, replaced
// or not be there yet. A folder that is not there, or cannot be watched, is
// tried again each minute and whenever Watch is called. At a deadline the file
// is read before a word is said, so an event that was missed, as on a network
// file system, makes no false alarm.
type Watcher struct {
	reader *Reader
	log    logrus.FieldLogger
	wall   func() time.Time // the wall clock

	turn    chan struct{} // holds one element while Follow runs
	changed chan struct{} // holds one element when set is news

	mu  sync.Mutex
	set []plugin.Plugin
}

// NewWatcher returns a Watcher of heartbeats that r reads. It watches nothing
// until Watch and Follow are called.
func NewWatcher(r *Reader, log logrus.FieldLogger) *Watcher {
	return &Watcher{
		reader: r, log: log,
		wall: func() time.Time { return time.Now().Round(0) },
		turn: make(chan struct{}, 1), changed: make(chan struct{}, 1),
	}
}

// Watch sets which plugins' heartbeats are watched; it replaces the last set.
// One with the same Key, version and interval as before keeps its deadline, any
// other begins anew. It may be called before or during Follow, from any goroutine.
func (w *Watcher) Watch(ps []plugin.Plugin) {
	w.mu.Lock()
	w.set = slices.Clone(ps)
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default: // the last one was not taken up yet
	}
}

func (w *Watcher) watched() []plugin.Plugin {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.set
}

// Follow tells until ctx ends, then returns nil; an error says why the kernel
// tells no more. heard is called from one goroutine, and while it runs beats
// only gather; so they do within a second after one was told, when the last of
// them is. A second Follow waits until the first has ended, and begins anew.
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
	files, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch heartbeats: %w", err)
	}
	inner, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	missed := make(chan struct{}, 1)
	// On a goroutine of its own, as fsnotify may hold, while it hands over an
	// error, the lock that its Add needs.
	var troubles sync.WaitGroup
	troubles.Go(func() {
		for err := range files.Errors {
			switch {
			case errors.Is(err, fsnotify.ErrEventOverflow):
				select {
				case missed <- struct{}{}:
				default:
				}
			case errors.Is(err, unix.EINVAL): // a folder was moved and deleted: its watch was gone already
			default:
				fail(fmt.Errorf("watch heartbeats: %w", err))
			}
		}
	})
	defer troubles.Wait()
	defer files.Close()

	newFollowing(w, files, heard).run(inner, files.Events, missed)
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(inner)
}
