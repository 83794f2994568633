package heartbeat_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/heartbeat"
	"pluginsupervisor/internal/testenv"
	"pluginsupervisor/plugin"
)

// timeout is the maximum wait for something that must happen at once.
const timeout = 30 * time.Second

// hourlyPlugin returns a plugin that is never late within a test.
func hourlyPlugin(name string) plugin.Plugin {
	p := testPlugin(name)
	p.HeartbeatInterval = time.Hour
	return p
}

// briskPlugin returns a plugin without a heartbeat and with a short interval, so
// that events are not collected for long.
func briskPlugin() plugin.Plugin {
	p := testPlugin("brisk")
	p.HeartbeatInterval = time.Second
	return p
}

// startFollow watches the heartbeats of ps below root until the test ends.
func startFollow(t *testing.T, root string, ps ...plugin.Plugin) (*heartbeat.Watcher, <-chan plugin.HeartbeatEvent) {
	t.Helper()
	log, _ := test.NewNullLogger()
	return startFollowLogged(t, log, root, ps...)
}

func startFollowLogged(t *testing.T, log *logrus.Logger, root string, ps ...plugin.Plugin) (*heartbeat.Watcher, <-chan plugin.HeartbeatEvent) {
	t.Helper()
	w := heartbeat.NewWatcher(heartbeat.New(root), log)
	w.Watch(append(ps, briskPlugin()))
	ctx, cancel := context.WithCancel(context.Background())
	beatEvents, returned := make(chan plugin.HeartbeatEvent), make(chan error, 1)
	go func() {
		returned <- w.Follow(ctx, func(p plugin.HeartbeatEvent) {
			select {
			case beatEvents <- p:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-returned:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(timeout):
			t.Error("Follow does not return after cancel")
		}
	})
	return w, beatEvents
}

func nextEvent(t *testing.T, beatEvents <-chan plugin.HeartbeatEvent) plugin.HeartbeatEvent {
	t.Helper()
	select {
	case p := <-beatEvents:
		return p
	case <-time.After(timeout):
		t.Fatal("no heartbeat event is reported")
		return plugin.HeartbeatEvent{}
	}
}

// expectBeat waits for a beat of that date.
func expectBeat(t *testing.T, beatEvents <-chan plugin.HeartbeatEvent, date int64) {
	t.Helper()
	if p := nextEvent(t, beatEvents); p.Lost || p.Heartbeat.Err != nil || !p.Heartbeat.Found || p.Heartbeat.Last.Unix() != date {
		t.Fatalf("%+v, want a beat of %d", p, date)
	}
}

// watchedPlugin starts a watcher and waits for the first heartbeat; then the
// directory is watched.
func watchedPlugin(t *testing.T) (path string, beatEvents <-chan plugin.HeartbeatEvent, date int64) {
	t.Helper()
	root, path := makePluginDir(t)
	date = time.Now().Unix() - 10
	writeFile(t, path, strconv.FormatInt(date, 10))
	_, beatEvents = startFollow(t, root, hourlyPlugin("p"))
	expectBeat(t, beatEvents, date)
	return path, beatEvents, date
}

// EV-06: a heartbeat is reported, by whatever method it is written.
func TestWaysToBeat(t *testing.T) {
	for name, beat := range map[string]func(path, content string) error{
		"EV-06 emptied and written": func(p, s string) error { return os.WriteFile(p, []byte(s), 0o600) },
		"EV-06 written over": func(p, s string) error {
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte(s), 0)
			return errors.Join(err, f.Close())
		},
		"EV-06 replaced by rename": func(p, s string) error {
			return errors.Join(os.WriteFile(p+".new", []byte(s), 0o600), os.Rename(p+".new", p))
		},
		"EV-06 removed and made again": func(p, s string) error {
			return errors.Join(os.Remove(p), os.WriteFile(p, []byte(s), 0o600))
		},
		"EV-06 linked into its place": func(p, s string) error {
			return errors.Join(os.WriteFile(p+".new", []byte(s), 0o600), os.Remove(p), os.Link(p+".new", p))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, beatEvents, date := watchedPlugin(t)
			for range 3 {
				date++
				if err := beat(path, strconv.FormatInt(date, 10)); err != nil {
					t.Fatal(err)
				}
				expectBeat(t, beatEvents, date)
			}
		})
	}
}

// PL-08: a heartbeat with a date that is too old is lost, even if it is written
// again and again. The loss is reported once, and a current date clears it.
func TestOldDates(t *testing.T) {
	t.Parallel()
	root, path := makePluginDir(t)
	p := testPlugin("p")
	p.HeartbeatInterval = 20 * time.Second
	_, beatEvents := startFollow(t, root, p)
	const age = 5000
	writeFile(t, path, strconv.FormatInt(time.Now().Unix()-age, 10))
	if b := nextEvent(t, beatEvents); !b.Lost || b.Age < age*time.Second || b.Age > age*time.Second+timeout {
		t.Fatalf("event %+v, want a loss with an age of %d s", b, age)
	}
	for range 3 {
		time.Sleep(1100 * time.Millisecond) // longer than burst: each write is read separately
		writeFile(t, path, strconv.FormatInt(time.Now().Unix()-age, 10))
	}
	now := time.Now().Unix()
	writeFile(t, path, strconv.FormatInt(now, 10))
	expectBeat(t, beatEvents, now)
}

// PL-08, PL-09: an event carries the age of the heartbeat at its arrival.
func TestAgeAtArrival(t *testing.T) {
	path, beatEvents, _ := watchedPlugin(t)
	for _, tc := range []struct {
		name string
		date int64 // from now
		want time.Duration
	}{
		{"PL-08 of 100 s ago", -100, 100 * time.Second},
		{"PL-08 of 1000 s ago", -1000, 1000 * time.Second},
		{"PL-09 ahead", 4, 0},
		{"PL-09 far ahead", 5000, 0},
	} {
		writeFile(t, path, strconv.FormatInt(time.Now().Unix()+tc.date, 10))
		if b := nextEvent(t, beatEvents); b.Lost || b.Heartbeat.Err != nil || b.Age < tc.want || b.Age > tc.want+timeout {
			t.Errorf("%s: event %+v, want an age of %v", tc.name, b, tc.want)
		}
	}
}

// PL-10: anything but a file is reported as an error, and the next file as a beat.
func TestReplacedByOtherKind(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"PL-10 FIFO":      func(p string) error { return unix.Mkfifo(p, 0o600) },
		"PL-10 directory": func(p string) error { return os.Mkdir(p, 0o755) },
		"PL-10 link":      func(p string) error { return os.Symlink("/proc/self/stat", p) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, beatEvents, date := watchedPlugin(t)
			if err := errors.Join(os.Remove(path), make(path)); err != nil {
				t.Fatal(err)
			}
			if p := nextEvent(t, beatEvents); p.Lost || p.Heartbeat.Err == nil {
				t.Fatalf("event %+v, want an error", p)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			writeFile(t, path, strconv.FormatInt(date+1, 10))
			expectBeat(t, beatEvents, date+1)
		})
	}
}

// EV-06, PL-09: a date in 2099 does not keep a plugin healthy; each write is a
// heartbeat.
func TestBeatOf2099(t *testing.T) {
	root, path := makePluginDir(t)
	p := testPlugin("p")
	p.HeartbeatInterval = -4 * time.Second // lost a second after a beat, at most two
	_, beatEvents := startFollow(t, root, p)
	for range 2 {
		writeFile(t, path, "4102444799")
		if b := nextEvent(t, beatEvents); b.Lost || b.Heartbeat.Err != nil || time.Since(b.Heartbeat.Last) > timeout {
			t.Fatalf("%+v", b)
		}
		for b := nextEvent(t, beatEvents); !b.Lost; b = nextEvent(t, beatEvents) { // emptying and writing the file can be two beats by its time
			if b.Heartbeat.Err != nil {
				t.Fatalf("%+v", b)
			}
		}
	}
}

// EV-06: a directory that is moved, deleted and created again, as by upgrades, is
// watched at its path, also if Watch is not called. The kernel may remove such a
// watch at any time.
func TestDirReplaced(t *testing.T) {
	for name, callWatch := range map[string]bool{"EV-06 Watch is called": true, "EV-06 Watch is not called": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, path := makePluginDir(t)
			dir, date := filepath.Dir(path), time.Now().Unix()-40
			w, beatEvents := startFollow(t, root, hourlyPlugin("p"))
			watch := func() {
				if callWatch {
					w.Watch([]plugin.Plugin{hourlyPlugin("p")})
				}
			}
			for range 3 {
				for range 100 {
					if err := errors.Join(os.Rename(dir, dir+".old"), os.RemoveAll(dir+".old"), os.Mkdir(dir, 0o755)); err != nil {
						t.Fatal(err)
					}
					watch()
				}
				date++
				writeFile(t, path, strconv.FormatInt(date, 10))
				watch()
				expectBeat(t, beatEvents, date)
			}
		})
	}
}

// EV-06: the kernel queues a limited number of events and reports when it drops
// others. Heartbeats of dropped events are found.
func TestEventsLost(t *testing.T) {
	limit, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	queue, err := strconv.Atoi(strings.TrimSpace(string(limit)))
	if err != nil {
		t.Fatal(err)
	}
	if queue > 1<<17 {
		testenv.SkipWithout(t, testenv.ShortInotifyQueue, fmt.Sprintf("the kernel keeps %d events", queue))
	}
	root, path := makePluginDir(t)
	date := time.Now().Unix() - 10
	writeFile(t, path, strconv.FormatInt(date, 10))
	log, logged := test.NewNullLogger()
	log.SetLevel(logrus.DebugLevel)
	_, beatEvents := startFollowLogged(t, log, root, hourlyPlugin("p")) // the report of the first beat waits for expectBeat
	waitUntil(t, "the folder is watched", func() bool { return countWatches(t) > 0 })
	one, two := filepath.Join(filepath.Dir(path), "one"), filepath.Join(filepath.Dir(path), "two")
	if err := os.Mkdir(one, 0o755); err != nil {
		t.Fatal(err)
	}
	for range queue/2 + 1 {
		if err := errors.Join(os.Rename(one, two), os.Rename(two, one)); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, path, strconv.FormatInt(date+1, 10))
	expectBeat(t, beatEvents, date)
	expectBeat(t, beatEvents, date+1)
	waitUntil(t, "the loss is logged", func() bool { return len(logged.AllEntries()) > 0 })
}

func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(timeout); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("timeout, waited until " + what)
		}
	}
}

// countWatches returns the number of inotify watches of this process.
func countWatches(t *testing.T) (n int) {
	t.Helper()
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range infos {
		info, _ := os.ReadFile(path) // the file may be closed by now
		n += strings.Count(string(info), "inotify wd:")
	}
	return n
}

// A second Follow waits until the first has returned.
func TestOneFollowAtATime(t *testing.T) {
	root, path := makePluginDir(t)
	writeFile(t, path, strconv.FormatInt(time.Now().Unix(), 10))
	log, _ := test.NewNullLogger()
	w := heartbeat.NewWatcher(heartbeat.New(root), log)
	w.Watch([]plugin.Plugin{hourlyPlugin("p")})
	var running atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reported, release, returned := make(chan struct{}, 2), make(chan struct{}), make(chan error, 3)
	once := func(ctx context.Context) {
		returned <- w.Follow(ctx, func(plugin.HeartbeatEvent) {
			if running.Add(1) > 1 {
				t.Error("two Follow calls report at the same time")
			}
			reported <- struct{}{}
			<-release
			running.Add(-1)
		})
	}
	first, end := context.WithCancel(ctx)
	go once(first)
	<-reported
	over, stop := context.WithCancel(ctx)
	stop()
	once(over) // returns although the first still runs
	go once(ctx)
	end()
	release <- struct{}{}
	<-reported // by the second
	cancel()
	release <- struct{}{}
	for range 3 {
		if err := <-returned; err != nil {
			t.Error(err)
		}
	}
}
