package heartbeat

import (
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/inotify"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// EV-06: heartbeats for a day while the clock is set forward and back each hour.
// Only the plugin that stops is lost.
func TestDayWithClockSteps(t *testing.T) {
	a, b := minutelyPlugin("a", "1"), minutelyPlugin("b", "1")
	runInWorld(t, func(w *world) {
		w.watch(a, b)
		for minute := range 24 * 60 {
			if minute%60 == 30 {
				step := []time.Duration{3 * time.Hour, -5 * time.Hour, time.Hour}[minute/60%3]
				w.locked(func() { w.skew += step })
			}
			w.beat(a)
			if minute < 720 {
				w.beat(b)
			}
			w.pass(time.Minute)
		}
		beats := map[string]int{}
		w.reports = slices.DeleteFunc(w.reports, func(s string) bool {
			var at, name, version, what string
			fmt.Sscan(s, &at, &name, &version, &what)
			beats[name+what]++
			return what == "beat"
		})
		if diff := cmp.Diff(map[string]int{"abeat": 1440, "bbeat": 720, "blost": 1}, beats); diff != "" {
			t.Error(diff)
		}
		w.expect("12h0m6s b 1 lost") // its last heartbeat came at 11h59m0s
	})
}

// PL-08: a plugin that writes an old date at each interval is reported lost once,
// until it writes a current date.
func TestOldDatesArrive(t *testing.T) {
	p := minutelyPlugin("p", "1")
	p.HeartbeatInterval = 20 * time.Second
	runInWorld(t, func(w *world) {
		w.watch(p)
		old := func() {
			w.put(p, w.wall().Add(-5000*time.Second))
			w.event(filepath.Dir(w.path(p)), unix.IN_CREATE, layout.Heartbeat)
			w.event(w.path(p), unix.IN_MODIFY, "")
			w.pass(20 * time.Second)
		}
		for range 9 {
			old()
		}
		w.beat(p)
		w.pass(20 * time.Second)
		old()
		old()
		w.expect("0s p 1 lost", "3m0s p 1 beat", "3m20s p 1 lost")
		if got := w.beatEvents[0].Age; got != 5000*time.Second {
			t.Errorf("age %v, want 5000s", got)
		}
	})
}

// EV-06: the clock is set while events are collected. The heartbeats in the queue
// keep their age at arrival.
func TestClockSetWhileEventsGather(t *testing.T) {
	p := minutelyPlugin("p", "1")
	for name, step := range map[string]time.Duration{"EV-06 forward": 3 * time.Hour, "EV-06 back": -3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			runInWorld(t, func(w *world) {
				w.watch(p)
				w.beat(p)
				w.pass(time.Minute)
				w.put(p, w.wall())
				w.locked(func() { w.skew += step })
				w.pass(5 * time.Second)
				w.event(w.path(p), unix.IN_MODIFY, "")
				w.pass(55 * time.Second)
				w.beat(p)
				w.pass(time.Hour)
				w.expect("0s p 1 beat", "1m5s p 1 beat", "2m0s p 1 beat", "3m6s p 1 lost")
				if age := w.beatEvents[1].Age; age != 0 {
					t.Errorf("age %v, want 0", age)
				}
			})
		})
	}
}

// EV-06: of ten thousand heartbeats a second two are reported, and always the last.
// The number of events is limited.
func TestTenThousandBeatsASecond(t *testing.T) {
	p := minutelyPlugin("p", "1")
	runInWorld(t, func(w *world) {
		w.watch(p)
		w.beat(p)
		events := 0
		for i := range 30000 {
			w.put(p, w.wall().Add(-time.Duration(i%7)*time.Second))
			if w.event(w.path(p), unix.IN_MODIFY, "") {
				events++
			}
			w.pass(100 * time.Microsecond)
		}
		last := w.wall().Add(-10 * time.Second)
		w.put(p, last)
		w.event(w.path(p), unix.IN_MODIFY, "")
		w.pass(3 * time.Second)
		if n := len(w.beatEvents); n < 4 || n > 10 {
			t.Errorf("%d beatEvents of 3 s: %q", n, w.reports)
		}
		if got := w.beatEvents[len(w.beatEvents)-1].Heartbeat.Last.Unix(); got != last.Unix() {
			t.Errorf("last date %v, want %v", got, last.Unix())
		}
		if events > 5*maxEvents {
			t.Errorf("%d events, want at most %d", events, 5*maxEvents)
		}
	})
}

// Events are collected for a tenth of the shortest interval, and for less while a
// heartbeat is lost (EV-06).
func TestRestTime(t *testing.T) {
	minutely, hourly, often := minutelyPlugin("p", "1"), minutelyPlugin("q", "1"), minutelyPlugin("r", "1")
	hourly.HeartbeatInterval, often.HeartbeatInterval = time.Hour, 2*time.Second
	runInWorld(t, func(w *world) {
		expect := func(want time.Duration) {
			t.Helper()
			synctest.Wait()
			w.locked(func() {
				if w.rest != want {
					t.Errorf("the queue rests for %v, want %v", w.rest, want)
				}
			})
		}
		w.watch(hourly)
		expect(maxRest)
		w.watch(hourly, minutely)
		w.beat(minutely)
		expect(maxRest)
		w.pass(2 * time.Minute)
		w.expect("0s p 1 beat", "1m6s p 1 lost")
		expect(burst)
		w.beat(minutely)
		expect(maxRest)
		w.watch(hourly, minutely, often)
		expect(200 * time.Millisecond)
	})
}

// EV-06: a directory with too many events is not watched for a second. Its
// heartbeats are still reported.
func TestTooManyDirEvents(t *testing.T) {
	noisy, quiet := minutelyPlugin("noisy", "1"), minutelyPlugin("quiet", "1")
	runInWorld(t, func(w *world) {
		w.watch(noisy, quiet)
		dir := filepath.Dir(w.path(noisy))
		for range maxEvents + 1 {
			w.event(dir, unix.IN_MOVED_TO, "log")
		}
		if watch, _ := w.watched(dir); watch != 0 {
			t.Error("the directory is still watched")
		}
		w.beat(noisy)
		w.beat(quiet)
		w.expect("0s quiet 1 beat")
		w.pass(time.Second)
		w.expect("0s quiet 1 beat", "1s noisy 1 beat")
		if watch, _ := w.watched(dir); watch == 0 {
			t.Error("the directory is not watched again")
		}
	})
}

func TestDirAbsent(t *testing.T) {
	p := minutelyPlugin("p", "1")
	t.Run("EV-06 absent: tried each minute", func(t *testing.T) {
		runInWorld(t, func(w *world) {
			w.watcher.Watch([]plugin.Plugin{p})
			w.pass(9*time.Minute + 30*time.Second)
			w.locked(func() {
				if w.adds != 20 {
					t.Errorf("%d attempts, want 20", w.adds)
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
		runInWorld(t, func(w *world) {
			w.locked(func() { w.refuse = syscall.ENOENT })
			w.watcher.Watch([]plugin.Plugin{p})
			w.pass(time.Second)
			w.locked(func() { w.refuse = nil })
			w.watch(p)
			w.beat(p)
			w.expect("1s p 1 beat")
		})
	})
	t.Run("EV-06 absent: watched when it is created", func(t *testing.T) {
		runInWorld(t, func(w *world) {
			w.makeDirs(minutelyPlugin("p", "0"), minutelyPlugin("p", "2"))
			w.watcher.Watch([]plugin.Plugin{p, {Name: "p", Version: "3", Duplicate: true, ID: 3}})
			w.pass(time.Second)
			w.put(p, w.wall())
			w.event(filepath.Dir(filepath.Dir(w.path(p))), unix.IN_CREATE, "1")
			w.beat(p)
			w.expect("1s p 1 beat")
			if watch, _ := w.watched(filepath.Dir(filepath.Dir(w.path(p)))); watch == 0 {
				t.Error("the parent is not watched for the other plugin")
			}
		})
	})
	t.Run("EV-06 absent, but created before the read: watched again", func(t *testing.T) {
		runInWorld(t, func(w *world) {
			w.put(p, w.wall())
			w.locked(func() { w.misses = 3 })
			w.watcher.Watch([]plugin.Plugin{p})
			w.pass(time.Second)
			w.beat(p)
			w.expect("0s p 1 beat", "1s p 1 beat")
		})
	})
	t.Run("EV-06 refused: logged once, read each minute", func(t *testing.T) {
		runInWorld(t, func(w *world) {
			w.locked(func() { w.refuse = syscall.ENOSPC })
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
}

func TestDirReplaced(t *testing.T) {
	p := minutelyPlugin("p", "1")
	t.Run("EV-06 removed and created again", func(t *testing.T) {
		runInWorld(t, func(w *world) {
			w.watch(p)
			w.beat(p)
			dir := filepath.Dir(w.path(p))
			watch, _ := w.watched(dir)
			w.replaceDir(p)
			w.events <- inotify.Event{Watch: watch, Mask: unix.IN_MOVE_SELF}
			synctest.Wait()
			w.pass(time.Second)
			w.beat(p)
			w.expect("0s p 1 beat", "1s p 1 beat")
		})
	})
	t.Run("EV-06 replaced: noticed at the deadline", func(t *testing.T) {
		runInWorld(t, func(w *world) {
			w.watch(p)
			w.beat(p)
			w.pass(2 * time.Second)
			w.replaceDir(p)
			w.pass(48 * time.Second)
			w.beat(p)
			w.pass(30 * time.Second)
			w.beat(p)
			w.pass(5 * time.Minute)
			w.beat(p)
			w.expect("0s p 1 beat", "1m6s p 1 beat", "1m20s p 1 beat", "2m26s p 1 lost", "6m20s p 1 beat")
		})
	})
	t.Run("EV-06 replaced: noticed when the file is missing", func(t *testing.T) {
		runInWorld(t, func(w *world) {
			w.watch(p)
			w.beat(p) // created and written: the file is read again after a second
			w.replaceDir(p)
			w.pass(50 * time.Second)
			w.beat(p)
			w.expect("0s p 1 beat", "50s p 1 beat")
		})
	})
}

func TestDirEvents(t *testing.T) {
	p := minutelyPlugin("p", "1")
	t.Run("EV-06 written over, first closed, then kept open", func(t *testing.T) {
		runInWorld(t, func(w *world) {
			w.watch(p)
			w.beat(p)
			w.pass(30 * time.Second)
			w.put(p, w.wall())
			w.event(w.path(p), unix.IN_CLOSE_WRITE, "")
			for range 3 {
				w.pass(time.Minute)
				w.beat(p) // without an event at first, as the file is not closed any more
			}
			w.expect("0s p 1 beat", "30s p 1 beat", "1m36s p 1 beat", "2m30s p 1 beat", "3m30s p 1 beat")
		})
	})
	t.Run("EV-06 lost: read each minute", func(t *testing.T) {
		runInWorld(t, func(w *world) {
			w.watch(p)
			w.beat(p)
			w.pass(70 * time.Second)
			w.put(p, w.wall())
			w.pass(time.Minute)
			w.expect("0s p 1 beat", "1m6s p 1 lost", "2m6s p 1 beat")
		})
	})
	t.Run("EV-06 a chmod is no beat", func(t *testing.T) {
		runInWorld(t, func(w *world) {
			w.watch(p)
			w.put(p, w.wall())
			w.event(w.path(p), unix.IN_ATTRIB, "")
			w.expect()
		})
	})
	t.Run("EV-06 lost events: all files are read", func(t *testing.T) {
		runInWorld(t, func(w *world) {
			q := minutelyPlugin("q", "1")
			w.watch(p, q)
			w.put(q, w.wall())
			w.events <- inotify.Event{Watch: -1, Mask: unix.IN_Q_OVERFLOW}
			w.expect("0s q 1 beat")
		})
	})
}

func TestWatchReplaces(t *testing.T) {
	p, other := minutelyPlugin("p", "1"), minutelyPlugin("other", "1")
	for _, tc := range []struct {
		name string
		next []plugin.Plugin // watched from 30 s after the beat
		want []string        // reported after it
	}{
		{"EV-06 the same keeps its deadline", []plugin.Plugin{other, {Name: "p", Version: "1", HeartbeatInterval: time.Minute, ID: 7}}, []string{"1m6s p 1 lost"}},
		{"EV-06 a new version starts over", []plugin.Plugin{minutelyPlugin("p", "2")}, nil},
		{"EV-06 a new interval starts over", []plugin.Plugin{{Name: "p", Version: "1", HeartbeatInterval: 40 * time.Second}}, []string{"30s p 1 beat", "46s p 1 lost"}},
		{"EV-06 another plugin instead", []plugin.Plugin{other}, nil},
		{"EV-06 no plugin", nil, nil},
		{"EV-06 a second record of the version", []plugin.Plugin{p, p, {Name: "p", Version: "1", HeartbeatInterval: time.Minute, Duplicate: true, ID: 9}}, []string{"30s p 1 beat", "1m6s p 1 lost", "1m6s p 1 lost"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			runInWorld(t, func(w *world) {
				w.watch(p)
				w.beat(p)
				w.pass(30 * time.Second)
				w.watcher.Watch(tc.next)
				w.pass(time.Hour)
				w.expect(append([]string{"0s p 1 beat"}, tc.want...)...)
				if want := min(len(tc.next), 2); len(w.masks) > 2*want {
					t.Errorf("watches %v, want at most %d", w.masks, 2*want)
				}
			})
		})
	}
	t.Run("EV-06 a name that is no directory name", func(t *testing.T) {
		runInWorld(t, func(w *world) {
			w.watcher.Watch([]plugin.Plugin{{Name: "..", Version: "1", HeartbeatInterval: time.Minute}})
			w.pass(time.Hour)
			w.expect("1.06s .. 1 error")
			if w.adds != 0 {
				t.Error("a directory was watched")
			}
		})
	})
}
