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

// timeout is how long a test waits for something that must happen at once.
const timeout = 30 * time.Second

// hourly returns a plugin that is never late within a test.
func hourly(name string) plugin.Plugin {
	p := daemon(name)
	p.HeartbeatInterval = time.Hour
	return p
}

// brisk returns a plugin without a heartbeat and with a short interval, so that
// events do not gather for long.
func brisk() plugin.Plugin {
	p := daemon("brisk")
	p.HeartbeatInterval = time.Second
	return p
}

// follow watches the heartbeats of ps below root until the test ends.
func follow(t *testing.T, root string, ps ...plugin.Plugin) (*heartbeat.Watcher, <-chan plugin.HeartbeatEvent) {
	t.Helper()
	log, _ := test.NewNullLogger()
	return followLogged(t, log, root, ps...)
}

func followLogged(t *testing.T, log *logrus.Logger, root string, ps ...plugin.Plugin) (*heartbeat.Watcher, <-chan plugin.HeartbeatEvent) {
	t.Helper()
	w := heartbeat.NewWatcher(heartbeat.New(root), log)
	w.Watch(append(ps, brisk()))
	ctx, cancel := context.WithCancel(context.Background())
	pulses, ended := make(chan plugin.HeartbeatEvent), make(chan error, 1)
	go func() {
		ended <- w.Follow(ctx, func(p plugin.HeartbeatEvent) {
			select {
			case pulses <- p:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(timeout):
			t.Error("Follow does not end")
		}
	})
	return w, pulses
}

func next(t *testing.T, pulses <-chan plugin.HeartbeatEvent) plugin.HeartbeatEvent {
	t.Helper()
	select {
	case p := <-pulses:
		return p
	case <-time.After(timeout):
		t.Fatal("no pulse is reported")
		return plugin.HeartbeatEvent{}
	}
}

// expectBeat waits for a beat of that date.
func expectBeat(t *testing.T, pulses <-chan plugin.HeartbeatEvent, date int64) {
	t.Helper()
	if p := next(t, pulses); p.Lost || p.Heartbeat.Err != nil || !p.Heartbeat.Found || p.Heartbeat.Last.Unix() != date {
		t.Fatalf("%+v, want a beat of %d", p, date)
	}
}

// watchedPlugin waits for a first beat, after which the directory is watched.
func watchedPlugin(t *testing.T) (path string, pulses <-chan plugin.HeartbeatEvent, date int64) {
	t.Helper()
	root, path := place(t)
	date = time.Now().Unix() - 10
	write(t, path, strconv.FormatInt(date, 10))
	_, pulses = follow(t, root, hourly("p"))
	expectBeat(t, pulses, date)
	return path, pulses, date
}

// EV-06: in whatever way a plugin writes its heartbeat, the beat is reported.
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
			path, pulses, date := watchedPlugin(t)
			for range 3 {
				date++
				if err := beat(path, strconv.FormatInt(date, 10)); err != nil {
					t.Fatal(err)
				}
				expectBeat(t, pulses, date)
			}
		})
	}
}

// PL-08: a beat whose date is too old is not alive, although the file is written
// again and again. The loss is reported once, and a date of now ends it.
func TestOldDates(t *testing.T) {
	t.Parallel()
	root, path := place(t)
	p := daemon("p")
	p.HeartbeatInterval = 20 * time.Second
	_, pulses := follow(t, root, p)
	const age = 5000
	write(t, path, strconv.FormatInt(time.Now().Unix()-age, 10))
	if b := next(t, pulses); !b.Lost || b.Age < age*time.Second || b.Age > age*time.Second+timeout {
		t.Fatalf("%+v", b)
	}
	for range 3 {
		time.Sleep(1100 * time.Millisecond) // the pace of the plugin: each beat is read on its own
		write(t, path, strconv.FormatInt(time.Now().Unix()-age, 10))
	}
	now := time.Now().Unix()
	write(t, path, strconv.FormatInt(now, 10))
	expectBeat(t, pulses, now)
}

// PL-08, PL-09: a pulse carries how old the beat was when it arrived.
func TestAgeAtArrival(t *testing.T) {
	path, pulses, _ := watchedPlugin(t)
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
		write(t, path, strconv.FormatInt(time.Now().Unix()+tc.date, 10))
		if b := next(t, pulses); b.Lost || b.Heartbeat.Err != nil || b.Age < tc.want || b.Age > tc.want+timeout {
			t.Errorf("%s: %+v", tc.name, b)
		}
	}
}

// PL-10: anything but a file is reported as an error, and the next file as a beat.
func TestReplacedByNoFile(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"PL-10 FIFO":      func(p string) error { return unix.Mkfifo(p, 0o600) },
		"PL-10 directory": func(p string) error { return os.Mkdir(p, 0o755) },
		"PL-10 link":      func(p string) error { return os.Symlink("/proc/self/stat", p) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, pulses, date := watchedPlugin(t)
			if err := errors.Join(os.Remove(path), make(path)); err != nil {
				t.Fatal(err)
			}
			if p := next(t, pulses); p.Lost || p.Heartbeat.Err == nil {
				t.Fatalf("%+v", p)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			write(t, path, strconv.FormatInt(date+1, 10))
			expectBeat(t, pulses, date+1)
		})
	}
}

// EV-06, PL-09: a date in 2099 keeps no plugin healthy for ever; each write is a beat.
func TestBeatOf2099(t *testing.T) {
	root, path := place(t)
	p := daemon("p")
	p.HeartbeatInterval = -4 * time.Second // lost a second after a beat, at most two
	_, pulses := follow(t, root, p)
	for range 2 {
		write(t, path, "4102444799")
		if b := next(t, pulses); b.Lost || b.Heartbeat.Err != nil || time.Since(b.Heartbeat.Last) > timeout {
			t.Fatalf("%+v", b)
		}
		for b := next(t, pulses); !b.Lost; b = next(t, pulses) { // emptying and writing the file can be two beats by its time
			if b.Heartbeat.Err != nil {
				t.Fatalf("%+v", b)
			}
		}
	}
}

// EV-06: a directory that is moved away, deleted and created again, as upgrades
// do it, is watched where it is now, also if Watch is not called. The kernel
// removes such a watch by itself at any time.
func TestDirReplaced(t *testing.T) {
	for name, callWatch := range map[string]bool{"EV-06 Watch is called": true, "EV-06 Watch is not called": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, path := place(t)
			dir, date := filepath.Dir(path), time.Now().Unix()-40
			w, pulses := follow(t, root, hourly("p"))
			watch := func() {
				if callWatch {
					w.Watch([]plugin.Plugin{hourly("p")})
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
				write(t, path, strconv.FormatInt(date, 10))
				watch()
				expectBeat(t, pulses, date)
			}
		})
	}
}

// EV-06: the kernel keeps a limited number of events, and reports that it dropped
// others. The beats of the dropped events are found.
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
	root, path := place(t)
	date := time.Now().Unix() - 10
	write(t, path, strconv.FormatInt(date, 10))
	log, logged := test.NewNullLogger()
	log.SetLevel(logrus.DebugLevel)
	_, pulses := followLogged(t, log, root, hourly("p")) // the report of the first beat waits for expectBeat
	poll(t, "the folder is watched", func() bool { return watches(t) > 0 })
	one, two := filepath.Join(filepath.Dir(path), "one"), filepath.Join(filepath.Dir(path), "two")
	if err := os.Mkdir(one, 0o755); err != nil {
		t.Fatal(err)
	}
	for range queue/2 + 1 {
		if err := errors.Join(os.Rename(one, two), os.Rename(two, one)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, path, strconv.FormatInt(date+1, 10))
	expectBeat(t, pulses, date)
	expectBeat(t, pulses, date+1)
	poll(t, "the loss is logged", func() bool { return len(logged.AllEntries()) > 0 })
}

func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(timeout); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("timeout, waited until " + what)
		}
	}
}

// watches returns the number of inotify watches of this process.
func watches(t *testing.T) (n int) {
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
	root, path := place(t)
	write(t, path, strconv.FormatInt(time.Now().Unix(), 10))
	log, _ := test.NewNullLogger()
	w := heartbeat.NewWatcher(heartbeat.New(root), log)
	w.Watch([]plugin.Plugin{hourly("p")})
	var running atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reported, release, ended := make(chan struct{}, 2), make(chan struct{}), make(chan error, 3)
	once := func(ctx context.Context) {
		ended <- w.Follow(ctx, func(plugin.HeartbeatEvent) {
			if running.Add(1) > 1 {
				t.Error("two at a time")
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
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
