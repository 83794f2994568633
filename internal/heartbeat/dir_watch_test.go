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

// loopRun is a watch loop for one plugin that handles the kernel's events step
// by step.
type loopRun struct {
	*watchLoop
	t        *testing.T
	path     string
	date     int64
	at       instant
	reported int

	markPath string // a path; creating it causes an event of watch marker
	marker   int
	file     *os.File // the heartbeat
}

func newLoopRun(t *testing.T) *loopRun {
	t.Helper()
	log := logger.Silent()
	q, err := inotify.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	w, mark := NewWatcher(New(t.TempDir()), log), t.TempDir()
	p := minutelyPlugin("p", "1")
	p.HeartbeatInterval = time.Hour
	dir, err := w.reader.pluginDir(p)
	if err != nil {
		t.Fatal(err)
	}
	e := &loopRun{t: t, path: filepath.Join(dir, layout.Heartbeat), date: time.Now().Unix() - 1000, at: instant{wall: w.wall()}, markPath: filepath.Join(mark, "x")}
	e.watchLoop = newWatchLoop(w, q, func(plugin.HeartbeatEvent) { e.reported++ })
	if e.marker, err = q.Add(mark, unix.IN_CREATE); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(e.path, e.nextDate(), 0o600)); err != nil {
		t.Fatal(err)
	}
	e.replaceSet([]plugin.Plugin{p}, e.at)
	e.handleAll()
	return e
}

// nextDate returns a date that was not written before.
func (e *loopRun) nextDate() []byte {
	e.date++
	return strconv.AppendInt(nil, e.date, 10)
}

// handleAll lets some seconds pass and does all due work.
func (e *loopRun) handleAll() {
	e.at = instant{mono: e.at.mono + 3*burst, wall: e.at.wall.Add(3 * burst)}
	for e.heap.next() <= e.at.mono {
		e.handleDue(e.heap[0], e.at)
	}
}

// handleEvents handles the events in the queue. It returns their number and the
// number of reported heartbeats.
func (e *loopRun) handleEvents() (events, reported int) {
	e.t.Helper()
	before := e.reported
	if err := errors.Join(os.Mkdir(e.markPath, 0o700), os.Remove(e.markPath)); err != nil {
		e.t.Fatal(err)
	}
	for {
		found, err := e.queue.Read(time.Time{})
		if err != nil {
			e.t.Fatal(err)
		}
		for _, ev := range found {
			if ev.Watch == e.marker {
				e.handleAll()
				return events, e.reported - before
			}
			events++
			e.handleEvent(ev, e.at)
		}
	}
}

// EV-06: each event wakes the supervisor. So a heartbeat causes an event when it is
// completely written, and other files cause none.
func TestEventsOfBeats(t *testing.T) {
	beside := func(e *loopRun, name string) string { return filepath.Join(filepath.Dir(e.path), name) }
	put := func(name string) func(*loopRun) error {
		return func(e *loopRun) error { return os.WriteFile(beside(e, name), e.nextDate(), 0o600) }
	}
	remove := func(name string) func(*loopRun) error {
		return func(e *loopRun) error { return os.Remove(beside(e, name)) }
	}
	rename := func(e *loopRun) error { return os.Rename(beside(e, "new"), e.path) }
	open := func(flag int) func(*loopRun) error {
		return func(e *loopRun) (err error) {
			e.file, err = os.OpenFile(e.path, os.O_WRONLY|flag, 0)
			return err
		}
	}
	fill := func(e *loopRun) error {
		_, err := e.file.WriteAt(e.nextDate(), 0)
		return err
	}
	end := func(e *loopRun) error { return e.file.Close() }

	type step struct {
		do     func(*loopRun) error
		events int // at most
		beats  int // reported
	}
	for name, steps := range map[string][]step{
		"EV-06 other files": {{put("log"), 0, 0}, {remove("log"), 0, 0}},
		"EV-06 renamed": {
			{put("new"), 0, 0}, {rename, 3, 1}, // and two of the removal of the old file
			{put("new"), 0, 0}, {rename, 3, 1}, {put(layout.Heartbeat), 3, 1},
		},
		"EV-06 emptied and written": {
			{put(layout.Heartbeat), 3, 1}, // from now on only the close is watched
			{open(os.O_TRUNC), 0, 0},
			{fill, 0, 0},
			{end, 1, 1},
			{put(layout.Heartbeat), 1, 1},
		},
		"EV-06 kept open":   {{open(0), 0, 0}, {fill, 1, 1}, {fill, 1, 1}, {end, 1, 0}},
		"EV-06 made again":  {{remove(layout.Heartbeat), 2, 0}, {put("log"), 1, 0}, {put(layout.Heartbeat), 4, 1}, {put("log2"), 0, 0}, {put(layout.Heartbeat), 3, 1}},
		"EV-06 other names": {{func(e *loopRun) error { return os.Chmod(e.path, 0o640) }, 1, 0}, {func(e *loopRun) error { return os.Link(e.path, beside(e, "link")) }, 1, 0}, {put(layout.Heartbeat), 3, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newLoopRun(t)
			for i, s := range steps {
				if err := s.do(e); err != nil {
					t.Fatal(err)
				}
				if events, beats := e.handleEvents(); events > s.events || beats != s.beats {
					t.Errorf("step %d: %d events, want at most %d; %d beats reported, want %d", i+1, events, s.events, beats, s.beats)
				}
			}
		})
	}
}
