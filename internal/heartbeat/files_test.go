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

// patience is how long a test waits for what must come at once.
const patience = 30 * time.Second

// hourly is never late within a test.
func hourly(name string) plugin.Plugin {
	p := daemon(name)
	p.HeartbeatInterval = time.Hour
	return p
}

// brisk is there for its interval alone, for which others do not gather long.
func brisk() plugin.Plugin {
	p := daemon("brisk")
	p.HeartbeatInterval = time.Second
	return p
}

// follow watches ps below root until the test ends.
func follow(t *testing.T, root string, ps ...plugin.Plugin) (*heartbeat.Watcher, <-chan plugin.Pulse) {
	t.Helper()
	log, _ := test.NewNullLogger()
	return followLogged(t, log, root, ps...)
}

func followLogged(t *testing.T, log *logrus.Logger, root string, ps ...plugin.Plugin) (*heartbeat.Watcher, <-chan plugin.Pulse) {
	t.Helper()
	w := heartbeat.NewWatcher(heartbeat.New(root), log)
	w.Watch(append(ps, brisk()))
	ctx, cancel := context.WithCancel(context.Background())
	pulses, ended := make(chan plugin.Pulse), make(chan error, 1)
	go func() {
		ended <- w.Follow(ctx, func(p plugin.Pulse) {
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
		case <-time.After(patience):
			t.Error("Follow does not end")
		}
	})
	return w, pulses
}

func next(t *testing.T, pulses <-chan plugin.Pulse) plugin.Pulse {
	t.Helper()
	select {
	case p := <-pulses:
		return p
	case <-time.After(patience):
		t.Fatal("nothing is told")
		return plugin.Pulse{}
	}
}

// expectBeat waits for a beat of that date.
func expectBeat(t *testing.T, pulses <-chan plugin.Pulse, date int64) {
	t.Helper()
	if p := next(t, pulses); p.Lost || p.Beat.Err != nil || !p.Beat.Found || p.Beat.Last.Unix() != date {
		t.Fatalf("%+v, want a beat of %d", p, date)
	}
}

// settled has a beat told first, so that the folder is known to be watched.
func settled(t *testing.T) (path string, pulses <-chan plugin.Pulse, date int64) {
	t.Helper()
	root, path := place(t)
	date = time.Now().Unix() - 10
	write(t, path, strconv.FormatInt(date, 10))
	_, pulses = follow(t, root, hourly("p"))
	expectBeat(t, pulses, date)
	return path, pulses, date
}

// EV-06: however a plugin writes its heartbeat, the kernel tells of it.
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
			path, pulses, date := settled(t)
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

// PL-10: what is no file is told as that, and the next file as a beat.
func TestReplacedByNoFile(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"PL-10 FIFO":      func(p string) error { return unix.Mkfifo(p, 0o600) },
		"PL-10 directory": func(p string) error { return os.Mkdir(p, 0o755) },
		"PL-10 link":      func(p string) error { return os.Symlink("/proc/self/stat", p) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, pulses, date := settled(t)
			if err := errors.Join(os.Remove(path), make(path)); err != nil {
				t.Fatal(err)
			}
			if p := next(t, pulses); p.Lost || p.Beat.Err == nil {
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

// EV-06, PL-09: dates in 2099 make nobody healthy for ever; each writing is a beat.
func TestBeatOf2099(t *testing.T) {
	root, path := place(t)
	p := daemon("p")
	p.HeartbeatInterval = -4 * time.Second // lost a second after a beat, at most two
	_, pulses := follow(t, root, p)
	for range 2 {
		write(t, path, "4102444799")
		if b := next(t, pulses); b.Lost || b.Beat.Err != nil || time.Since(b.Beat.Last) > patience {
			t.Fatalf("%+v", b)
		}
		for b := next(t, pulses); !b.Lost; b = next(t, pulses) { // emptied and written is two beats to the inode's time
			if b.Beat.Err != nil {
				t.Fatalf("%+v", b)
			}
		}
	}
}

// EV-06: a folder that is moved away, deleted and made again, as upgrades do
// it, is followed to where it is now, also by who is not told of it. The kernel
// ends such a watch by itself, at any moment of ours.
func TestFolderReplaced(t *testing.T) {
	for name, tell := range map[string]bool{"EV-06 Watch is called": true, "EV-06 Watch is not called": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, path := place(t)
			dir, date := filepath.Dir(path), time.Now().Unix()-40
			w, pulses := follow(t, root, hourly("p"))
			watch := func() {
				if tell {
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

// EV-06: the kernel keeps so many events and drops the others, of which it
// tells. What came with those is found.
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
	_, pulses := followLogged(t, log, root, hourly("p")) // telling of the first beat waits until we listen
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
	for end := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain until " + what)
		}
	}
}

// watches counts what this process watches by inotify.
func watches(t *testing.T) (n int) {
	t.Helper()
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range infos {
		info, _ := os.ReadFile(path) // it may be closed by now
		n += strings.Count(string(info), "inotify wd:")
	}
	return n
}

// A second Follow waits until the first has ended.
func TestOneFollowAtATime(t *testing.T) {
	root, path := place(t)
	write(t, path, strconv.FormatInt(time.Now().Unix(), 10))
	log, _ := test.NewNullLogger()
	w := heartbeat.NewWatcher(heartbeat.New(root), log)
	w.Watch([]plugin.Plugin{hourly("p")})
	var running atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told, release, ended := make(chan struct{}, 2), make(chan struct{}), make(chan error, 3)
	once := func(ctx context.Context) {
		ended <- w.Follow(ctx, func(plugin.Pulse) {
			if running.Add(1) > 1 {
				t.Error("two at a time")
			}
			told <- struct{}{}
			<-release
			running.Add(-1)
		})
	}
	first, end := context.WithCancel(ctx)
	go once(first)
	<-told
	over, stop := context.WithCancel(ctx)
	stop()
	once(over) // returns though its turn never comes
	go once(ctx)
	end()
	release <- struct{}{}
	<-told // by the second
	cancel()
	release <- struct{}{}
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
