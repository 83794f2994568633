package heartbeat

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/inotify"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// world runs a Watcher in virtual time. The files are real, the events are not:
// waiting for the kernel would stop the virtual clock.
type world struct {
	t       *testing.T
	root    string
	watcher *Watcher
	logged  *test.Hook
	events  chan inotify.Event
	wake    chan struct{}
	start   time.Time
	aside   int // directories that were replaced

	mu         sync.Mutex     // guards the fields below
	skew       time.Duration  // of the wall clock
	refuse     error          // returned by Add
	last       int            // the last watch
	numbers    map[uint64]int // watches by inode
	masks      map[int]uint32 // by watch
	misses     int            // how many calls of Add return ENOENT
	adds       int            // calls of Add for directories of a version 1
	reports    []string
	beatEvents []plugin.HeartbeatEvent
	rest       time.Duration // of the queue
}

// runInWorld runs a test with a Watcher in a synctest bubble. The test calls
// synctest.Wait or time.Sleep before it uses the results of other goroutines.
func runInWorld(t *testing.T, run func(w *world)) {
	t.Helper()
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		log, hook := test.NewNullLogger()
		log.SetLevel(logrus.DebugLevel)
		w := &world{
			t: t, root: root, logged: hook, watcher: NewWatcher(New(root), log), start: time.Now(),
			events: make(chan inotify.Event), wake: make(chan struct{}, 1), numbers: map[uint64]int{}, masks: map[int]uint32{},
		}
		w.watcher.wall = func() time.Time { return w.wall() }
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		wake := func() {
			select {
			case w.wake <- struct{}{}:
			default:
			}
		}
		w.watcher.setWake(wake)
		defer context.AfterFunc(ctx, wake)()
		go func() {
			if err := newWatchLoop(w.watcher, w, w.report).run(ctx); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		run(w)
		cancel()
		synctest.Wait()
	})
}

// locked runs f while the fields are locked.
func (w *world) locked(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// pass lets time pass and waits until all due work is done.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) wall() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Round(0).Add(w.skew)
}

// watched returns the watch of the file at a path, and its mask.
func (w *world) watched(path string) (watch int, mask uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	info, err := os.Lstat(path)
	if err != nil {
		return 0, 0
	}
	watch = w.numbers[info.Sys().(*syscall.Stat_t).Ino]
	return watch, w.masks[watch]
}

// Add implements queue, as do the next three methods.
func (w *world) Add(path string, mask uint32) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.HasPrefix(filepath.Base(path), "1") {
		w.adds++
	}
	info, err := os.Lstat(path)
	if w.refuse != nil {
		err = w.refuse
	}
	if w.misses > 0 {
		w.misses, err = w.misses-1, syscall.ENOENT
	}
	if err != nil {
		return 0, fmt.Errorf("watch: %w", err)
	}
	inode := info.Sys().(*syscall.Stat_t).Ino
	if w.numbers[inode] == 0 {
		w.last++
		w.numbers[inode] = w.last
	}
	w.masks[w.numbers[inode]] = mask
	return w.numbers[inode], nil
}

func (w *world) Drop(watch int) {
	w.locked(func() {
		delete(w.masks, watch)
		maps.DeleteFunc(w.numbers, func(_ uint64, is int) bool { return is == watch })
	})
}

func (w *world) Rest(d time.Duration) { w.locked(func() { w.rest = d }) }

func (w *world) Read(until time.Time) ([]inotify.Event, error) {
	var timer <-chan time.Time
	if !until.IsZero() {
		timer = time.After(time.Until(until))
	}
	select {
	case e := <-w.events:
		return []inotify.Event{e}, nil
	case <-w.wake:
	case <-timer:
	}
	return nil, nil
}

func (w *world) report(p plugin.HeartbeatEvent) {
	what := "beat"
	switch {
	case p.Lost:
		what = "lost"
	case p.Heartbeat.Err != nil:
		what = "error"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports = append(w.reports, fmt.Sprintf("%v %s %s %s", time.Since(w.start), p.Heartbeat.Plugin.Name, p.Heartbeat.Plugin.Version, what))
	w.beatEvents = append(w.beatEvents, p)
}

func (w *world) expect(want ...string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, w.reports); diff != "" {
		w.t.Error("want (-), reported (+):\n", diff)
	}
}

func (w *world) path(p plugin.Plugin) string {
	return filepath.Join(layout.Version(w.root, p.Name, p.Version), layout.Heartbeat)
}

// put writes a date without an event.
func (w *world) put(p plugin.Plugin, date time.Time) {
	w.t.Helper()
	w.makeDirs(p)
	f, err := os.OpenFile(w.path(p), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "%10d", date.Unix()); err != nil { // dates in the bubble have nine digits
		w.t.Fatal(err)
	}
	if err := os.Chtimes(w.path(p), time.Time{}, w.wall()); err != nil {
		w.t.Fatal(err)
	}
}

// makeDirs creates the directories of plugins.
func (w *world) makeDirs(ps ...plugin.Plugin) {
	w.t.Helper()
	for _, p := range ps {
		if err := os.MkdirAll(filepath.Dir(w.path(p)), 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
}

// replaceDir replaces a plugin's directory by an empty one, without an event.
func (w *world) replaceDir(p plugin.Plugin) {
	w.t.Helper()
	w.aside++
	dir := filepath.Dir(w.path(p))
	if err := os.Rename(dir, filepath.Join(w.root, strconv.Itoa(w.aside))); err != nil {
		w.t.Fatal(err)
	}
	w.makeDirs(p)
}

// watch creates the directories of plugins and watches them.
func (w *world) watch(ps ...plugin.Plugin) {
	w.makeDirs(ps...)
	w.watcher.Watch(ps)
	synctest.Wait()
}

// beat writes a date and sends the events that are watched.
func (w *world) beat(p plugin.Plugin) {
	w.t.Helper()
	fresh := !fileExists(w.path(p))
	w.put(p, w.wall())
	if fresh {
		w.event(filepath.Dir(w.path(p)), unix.IN_CREATE, layout.Heartbeat)
	}
	w.event(w.path(p), unix.IN_MODIFY, "")
}

func fileExists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// event sends an event of the file at the path if it is watched, and reports
// whether it is.
func (w *world) event(path string, mask uint32, name string) bool {
	watch, asked := w.watched(path)
	if asked&mask != 0 {
		w.events <- inotify.Event{Watch: watch, Mask: mask, Name: name}
	}
	synctest.Wait()
	return asked&mask != 0
}

func minutelyPlugin(name, version string) plugin.Plugin {
	return plugin.Plugin{Name: name, Version: version, Type: plugin.Persist, HeartbeatInterval: time.Minute}
}
