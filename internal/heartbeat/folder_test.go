package heartbeat

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/inotify"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/plugin"
)

// ear is a run of Follow for one plugin that goes from event to event, with the
// kernel's.
type ear struct {
	*following
	t    *testing.T
	path string
	date int64
	at   moment
	told int

	mark   string // something that makes an event of watch marker
	marker int
	file   *os.File // the heartbeat
}

func newEar(t *testing.T) *ear {
	t.Helper()
	log := logger.Silent()
	q, err := inotify.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	w, mark := NewWatcher(New(t.TempDir()), log), t.TempDir()
	p := minutely("p", "1")
	dir, err := w.reader.folder(p)
	if err != nil {
		t.Fatal(err)
	}
	e := &ear{t: t, path: filepath.Join(dir, layout.Heartbeat), date: time.Now().Unix() - 1000, at: moment{wall: w.wall()}, mark: filepath.Join(mark, "x")}
	e.following = newFollowing(w, q, func(plugin.Pulse) { e.told++ })
	if e.marker, err = q.Add(mark, unix.IN_CREATE); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(e.path, e.next(), 0o600)); err != nil {
		t.Fatal(err)
	}
	e.replace([]plugin.Plugin{p})
	e.rest()
	return e
}

// next is a date that was not written before.
func (e *ear) next() []byte {
	e.date++
	return strconv.AppendInt(nil, e.date, 10)
}

// rest has all be done that is due by then, some seconds later.
func (e *ear) rest() {
	e.at.mono += 3 * burst
	for e.agenda.next() <= e.at.mono {
		e.attend(e.agenda[0], e.at)
	}
}

// hear handles the events there are, and returns how many beats were told.
func (e *ear) hear() (events, told int) {
	e.t.Helper()
	before := e.told
	if err := errors.Join(os.Mkdir(e.mark, 0o700), os.Remove(e.mark)); err != nil {
		e.t.Fatal(err)
	}
	for {
		found, err := e.queue.Read(time.Time{})
		if err != nil {
			e.t.Fatal(err)
		}
		for _, ev := range found {
			if ev.Watch == e.marker {
				e.rest()
				return events, e.told - before
			}
			events++
			e.event(ev, e.at)
		}
	}
}

// EV-06: to hear of something wakes us. So a beat is heard of when it is done,
// and of other files nothing is.
func TestHeardOf(t *testing.T) {
	beside := func(e *ear, name string) string { return filepath.Join(filepath.Dir(e.path), name) }
	put := func(name string) func(*ear) error {
		return func(e *ear) error { return os.WriteFile(beside(e, name), e.next(), 0o600) }
	}
	remove := func(name string) func(*ear) error {
		return func(e *ear) error { return os.Remove(beside(e, name)) }
	}
	rename := func(e *ear) error { return os.Rename(beside(e, "new"), e.path) }
	open := func(flag int) func(*ear) error {
		return func(e *ear) (err error) {
			e.file, err = os.OpenFile(e.path, os.O_WRONLY|flag, 0)
			return err
		}
	}
	fill := func(e *ear) error {
		_, err := e.file.WriteAt(e.next(), 0)
		return err
	}
	end := func(e *ear) error { return e.file.Close() }

	type step struct {
		do     func(*ear) error
		events int // at most
		told   int
	}
	for name, steps := range map[string][]step{
		"EV-06 other files": {{put("log"), 0, 0}, {remove("log"), 0, 0}},
		"EV-06 renamed": {
			{put("new"), 0, 0}, {rename, 3, 1}, // and two of the old one's end
			{put("new"), 0, 0}, {rename, 3, 1}, {put(layout.Heartbeat), 3, 1},
		},
		"EV-06 emptied and written": {
			{put(layout.Heartbeat), 3, 1}, // from then on it is known that it will be closed
			{open(os.O_TRUNC), 0, 0},
			{fill, 0, 0},
			{end, 1, 1},
			{put(layout.Heartbeat), 1, 1},
		},
		"EV-06 kept open":   {{open(0), 0, 0}, {fill, 1, 1}, {fill, 1, 1}, {end, 1, 0}},
		"EV-06 made anew":   {{remove(layout.Heartbeat), 2, 0}, {put("log"), 1, 0}, {put(layout.Heartbeat), 4, 1}, {put("log2"), 0, 0}, {put(layout.Heartbeat), 3, 1}},
		"EV-06 other names": {{func(e *ear) error { return os.Chmod(e.path, 0o640) }, 1, 0}, {func(e *ear) error { return os.Link(e.path, beside(e, "link")) }, 1, 0}, {put(layout.Heartbeat), 3, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEar(t)
			for i, s := range steps {
				if err := s.do(e); err != nil {
					t.Fatal(err)
				}
				if events, told := e.hear(); events > s.events || told != s.told {
					t.Errorf("step %d: %d events, at most %d expected; %d beats told, %d expected", i+1, events, s.events, told, s.told)
				}
			}
		})
	}
}
