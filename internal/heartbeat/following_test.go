package heartbeat

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	"pluginsupervisor/plugin"
)

// world is a Watcher that runs in virtual time. The files are real, the events
// are not: waiting for the kernel would hold up the bubble's clock.
type world struct {
	t       *testing.T
	root    string
	watcher *Watcher
	logged  *test.Hook
	events  chan inotify.Event
	wake    chan struct{}
	start   time.Time
	aside   int // folders that were replaced

	mu      sync.Mutex     // of what follows
	skew    time.Duration  // of the wall clock
	refuse  error          // what Add says
	numbers map[uint64]int // watches by inode
	masks   map[int]uint32 // by watch
	misses  int            // how many Adds find nothing
	adds    int            // of folders
	told    []string
	pulses  []plugin.Pulse
}

// in runs play in a bubble beside a Watcher. play must let the others rest, by
// synctest.Wait or time.Sleep, before it touches what they do.
func in(t *testing.T, play func(w *world)) {
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
		w.watcher.wakeBy(wake)
		defer context.AfterFunc(ctx, wake)()
		go func() {
			if err := newFollowing(w.watcher, w, w.heard).run(ctx); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		play(w)
		cancel()
		synctest.Wait()
	})
}

// do runs f where neither side sees it half done.
func (w *world) do(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// pass lets time pass, and all be done that is due by then.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) wall() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Round(0).Add(w.skew)
}

// watched is by what number the file at a path is watched, and for what.
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

// Add is of queue, as are the next two.
func (w *world) Add(path string, mask uint32) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if filepath.Base(path) != fileName {
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
		w.numbers[inode] = w.adds*1000 + len(w.numbers) + 1
	}
	w.masks[w.numbers[inode]] = mask
	return w.numbers[inode], nil
}

func (w *world) Drop(watch int) {
	w.do(func() {
		delete(w.masks, watch)
		maps.DeleteFunc(w.numbers, func(_ uint64, is int) bool { return is == watch })
	})
}

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

func (w *world) heard(p plugin.Pulse) {
	what := "beat"
	switch {
	case p.Lost:
		what = "lost"
	case p.Beat.Err != nil:
		what = "nothing"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, fmt.Sprintf("%v %s %s %s", time.Since(w.start), p.Beat.Plugin.Name, p.Beat.Plugin.Version, what))
	w.pulses = append(w.pulses, p)
}

func (w *world) expect(want ...string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, w.told); diff != "" {
		w.t.Error("want (-), told (+):\n", diff)
	}
}

func (w *world) path(p plugin.Plugin) string {
	return filepath.Join(w.root, "plugin", p.Name, p.Version, fileName)
}

// put writes a date unheard.
func (w *world) put(p plugin.Plugin, date time.Time) {
	w.t.Helper()
	w.folder(p)
	f, err := os.OpenFile(w.path(p), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "%10d", date.Unix()); err != nil { // the bubble's dates have nine digits
		w.t.Fatal(err)
	}
}

// folder makes a plugin's folder.
func (w *world) folder(ps ...plugin.Plugin) {
	w.t.Helper()
	for _, p := range ps {
		if err := os.MkdirAll(filepath.Dir(w.path(p)), 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
}

// replaceFolder puts an empty one in the place of a plugin's folder, unheard.
func (w *world) replaceFolder(p plugin.Plugin) {
	w.t.Helper()
	w.aside++
	dir := filepath.Dir(w.path(p))
	if err := os.Rename(dir, filepath.Join(w.root, strconv.Itoa(w.aside))); err != nil {
		w.t.Fatal(err)
	}
	w.folder(p)
}

// watch has plugins watched whose folders are there.
func (w *world) watch(ps ...plugin.Plugin) {
	w.folder(ps...)
	w.watcher.Watch(ps)
	synctest.Wait()
}

// beat writes a date, and all is told of it that is asked for.
func (w *world) beat(p plugin.Plugin) {
	w.t.Helper()
	fresh := !exists(w.path(p))
	w.put(p, w.wall())
	if fresh {
		w.event(filepath.Dir(w.path(p)), unix.IN_CREATE, fileName)
	}
	w.event(w.path(p), unix.IN_MODIFY, "")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// event tells of what is at the path if that is asked for, and whether it is.
func (w *world) event(path string, mask uint32, name string) bool {
	watch, asked := w.watched(path)
	if asked&mask != 0 || asked != 0 && mask == unix.IN_IGNORED {
		w.events <- inotify.Event{Watch: watch, Mask: mask, Name: name}
	}
	synctest.Wait()
	return asked&mask != 0
}

func minutely(name, version string) plugin.Plugin {
	return plugin.Plugin{Name: name, Version: version, Type: plugin.Persist, HeartbeatInterval: time.Minute}
}

// EV-06: a day of beats while the clock is set forward and back each hour.
// Nobody is lost but who stops.
func TestDay(t *testing.T) {
	a, b := minutely("a", "1"), minutely("b", "1")
	in(t, func(w *world) {
		w.watch(a, b)
		for minute := range 24 * 60 {
			if minute%60 == 30 {
				step := []time.Duration{3 * time.Hour, -5 * time.Hour, time.Hour}[minute/60%3]
				w.do(func() { w.skew += step })
			}
			w.beat(a)
			if minute < 720 {
				w.beat(b)
			}
			w.pass(time.Minute)
		}
		beats := map[string]int{}
		w.told = slices.DeleteFunc(w.told, func(s string) bool {
			var at, name, version, what string
			fmt.Sscan(s, &at, &name, &version, &what)
			beats[name+what]++
			return what == "beat"
		})
		if diff := cmp.Diff(map[string]int{"abeat": 1440, "bbeat": 720, "blost": 1}, beats); diff != "" {
			t.Error(diff)
		}
		w.expect("12h0m6s b 1 lost") // its last beat came at 11h59m0s
	})
}

// EV-06: a beat ten thousand times a second is told twice in one, the last
// always, and is heard of a bounded number of times.
func TestTenThousandASecond(t *testing.T) {
	p := minutely("p", "1")
	in(t, func(w *world) {
		w.watch(p)
		w.beat(p)
		heard := 0
		for i := range 30000 {
			w.put(p, w.wall().Add(-time.Duration(i%7)*time.Second))
			if w.event(w.path(p), unix.IN_MODIFY, "") {
				heard++
			}
			w.pass(100 * time.Microsecond)
		}
		last := w.wall().Add(-10 * time.Second)
		w.put(p, last)
		w.event(w.path(p), unix.IN_MODIFY, "")
		w.pass(3 * time.Second)
		if n := len(w.pulses); n < 4 || n > 10 {
			t.Errorf("%d pulses of 3 s: %q", n, w.told)
		}
		if got := w.pulses[len(w.pulses)-1].Beat.Last.Unix(); got != last.Unix() {
			t.Errorf("%v, the last was %v", got, last.Unix())
		}
		if heard > 5*noise {
			t.Errorf("heard of %d writes", heard)
		}
	})
}

// EV-06: a folder in which a lot is written is left alone for a second at a
// time, and a beat in it is told all the same.
func TestNoise(t *testing.T) {
	noisy, quiet := minutely("noisy", "1"), minutely("quiet", "1")
	in(t, func(w *world) {
		w.watch(noisy, quiet)
		dir := filepath.Dir(w.path(noisy))
		for range noise + 1 {
			w.event(dir, unix.IN_MOVED_TO, "log")
		}
		if watch, _ := w.watched(dir); watch != 0 {
			t.Error("still watched")
		}
		w.beat(noisy)
		w.beat(quiet)
		w.expect("0s quiet 1 beat")
		w.pass(time.Second)
		w.expect("0s quiet 1 beat", "1s noisy 1 beat")
		if watch, _ := w.watched(dir); watch == 0 {
			t.Error("not watched again")
		}
	})
}

func TestFolders(t *testing.T) {
	p := minutely("p", "1")
	t.Run("EV-06 absent: tried each minute", func(t *testing.T) {
		in(t, func(w *world) {
			w.watcher.Watch([]plugin.Plugin{p})
			w.pass(9*time.Minute + 30*time.Second)
			w.do(func() {
				if w.adds != 10 {
					t.Errorf("tried %d times", w.adds)
				}
			})
			w.put(p, w.wall())
			w.pass(time.Minute)
			w.expect("10m0s p 1 beat")
			w.beat(p)
			w.expect("10m0s p 1 beat", "10m30s p 1 beat")
			if n := len(w.logged.AllEntries()); n != 0 {
				t.Errorf("%d lines of log", n)
			}
		})
	})
	t.Run("EV-06 absent: tried when Watch is called", func(t *testing.T) {
		in(t, func(w *world) {
			w.do(func() { w.refuse = syscall.ENOENT })
			w.watcher.Watch([]plugin.Plugin{p})
			w.pass(time.Second)
			w.do(func() { w.refuse = nil })
			w.watch(p)
			w.beat(p)
			w.expect("1s p 1 beat")
		})
	})
	t.Run("EV-06 absent, but back for the look: entered again", func(t *testing.T) {
		in(t, func(w *world) {
			w.put(p, w.wall())
			w.do(func() { w.misses = 3 })
			w.watcher.Watch([]plugin.Plugin{p})
			w.pass(time.Second)
			w.beat(p)
			w.expect("0s p 1 beat", "1s p 1 beat")
		})
	})
	t.Run("EV-06 refused: logged once, read each minute", func(t *testing.T) {
		in(t, func(w *world) {
			w.do(func() { w.refuse = syscall.ENOSPC })
			w.watcher.Watch([]plugin.Plugin{p})
			w.pass(30 * time.Second)
			for range 3 {
				w.put(p, w.wall())
				w.pass(time.Minute)
			}
			w.pass(time.Minute)
			w.expect("1m0s p 1 beat", "1m36s p 1 beat", "2m36s p 1 beat", "3m36s p 1 lost")
			if n := len(w.logged.AllEntries()); n != 1 {
				t.Errorf("%d lines of log", n)
			}
		})
	})
	t.Run("EV-06 removed and made again", func(t *testing.T) {
		in(t, func(w *world) {
			w.watch(p)
			w.beat(p)
			dir := filepath.Dir(w.path(p))
			watch, _ := w.watched(dir)
			w.replaceFolder(p)
			w.events <- inotify.Event{Watch: watch, Mask: unix.IN_MOVE_SELF}
			synctest.Wait()
			w.pass(time.Second)
			w.beat(p)
			w.expect("0s p 1 beat", "1s p 1 beat")
		})
	})
	t.Run("EV-06 the folder was another: seen at the deadline", func(t *testing.T) {
		in(t, func(w *world) {
			w.watch(p)
			w.beat(p)
			w.pass(2 * time.Second)
			w.replaceFolder(p)
			w.pass(48 * time.Second)
			w.beat(p)
			w.pass(30 * time.Second)
			w.beat(p)
			w.pass(5 * time.Minute)
			w.beat(p)
			w.expect("0s p 1 beat", "1m6s p 1 beat", "1m20s p 1 beat", "2m26s p 1 lost", "6m20s p 1 beat")
		})
	})
	t.Run("EV-06 the folder was another: seen when the file is missed", func(t *testing.T) {
		in(t, func(w *world) {
			w.watch(p)
			w.beat(p) // made and written: the second is looked at after a second
			w.replaceFolder(p)
			w.pass(50 * time.Second)
			w.beat(p)
			w.expect("0s p 1 beat", "50s p 1 beat")
		})
	})
	t.Run("EV-06 written over, first closed, then kept open", func(t *testing.T) {
		in(t, func(w *world) {
			w.watch(p)
			w.beat(p)
			w.pass(30 * time.Second)
			w.put(p, w.wall())
			w.event(w.path(p), unix.IN_CLOSE_WRITE, "")
			for range 3 {
				w.pass(time.Minute)
				w.beat(p) // not heard of at first, as it is closed no more
			}
			w.expect("0s p 1 beat", "30s p 1 beat", "1m36s p 1 beat", "2m30s p 1 beat", "3m30s p 1 beat")
		})
	})
	t.Run("EV-06 lost: looked at each minute", func(t *testing.T) {
		in(t, func(w *world) {
			w.watch(p)
			w.beat(p)
			w.pass(70 * time.Second)
			w.put(p, w.wall())
			w.pass(time.Minute)
			w.expect("0s p 1 beat", "1m6s p 1 lost", "2m6s p 1 beat")
		})
	})
	t.Run("EV-06 a chmod is no beat", func(t *testing.T) {
		in(t, func(w *world) {
			w.watch(p)
			w.put(p, w.wall())
			w.event(w.path(p), unix.IN_ATTRIB, "")
			w.expect()
		})
	})
	t.Run("EV-06 lost events: all files are read", func(t *testing.T) {
		in(t, func(w *world) {
			q := minutely("q", "1")
			w.watch(p, q)
			w.put(q, w.wall())
			w.events <- inotify.Event{Watch: -1, Mask: unix.IN_Q_OVERFLOW}
			w.expect("0s q 1 beat")
		})
	})
}

func TestWatchReplaces(t *testing.T) {
	p, other := minutely("p", "1"), minutely("other", "1")
	for _, tc := range []struct {
		name string
		next []plugin.Plugin // watched 30 s after the beat
		want []string        // told after it
	}{
		{"EV-06 the same keeps its deadline", []plugin.Plugin{other, {Name: "p", Version: "1", HeartbeatInterval: time.Minute, ID: 7}}, []string{"1m6s p 1 lost"}},
		{"EV-06 a new version begins anew", []plugin.Plugin{minutely("p", "2")}, nil},
		{"EV-06 a new interval begins anew", []plugin.Plugin{{Name: "p", Version: "1", HeartbeatInterval: 40 * time.Second}}, []string{"30s p 1 beat", "46s p 1 lost"}},
		{"EV-06 not watched any more", []plugin.Plugin{other}, nil},
		{"EV-06 nothing is", nil, nil},
		{"EV-06 a second record of the version", []plugin.Plugin{p, p, {Name: "p", Version: "1", HeartbeatInterval: time.Minute, Duplicate: true, ID: 9}}, []string{"30s p 1 beat", "1m6s p 1 lost", "1m6s p 1 lost"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.watch(p)
				w.beat(p)
				w.pass(30 * time.Second)
				w.watcher.Watch(tc.next)
				w.pass(time.Hour)
				w.expect(append([]string{"0s p 1 beat"}, tc.want...)...)
				if want := min(len(tc.next), 2); len(w.masks) > 2*want {
					t.Errorf("watched: %v", w.masks)
				}
			})
		})
	}
	t.Run("EV-06 a name of no folder", func(t *testing.T) {
		in(t, func(w *world) {
			w.watcher.Watch([]plugin.Plugin{{Name: "..", Version: "1", HeartbeatInterval: time.Minute}})
			w.pass(time.Hour)
			w.expect("1.06s .. 1 nothing")
			if w.adds != 0 {
				t.Error("a folder was watched")
			}
		})
	})
}
