package heartbeat

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/sirupsen/logrus"

	"pluginsupervisor/plugin"
)

// hundred is a run of Follow with 100 plugins, every file written once.
func hundred(b *testing.B) (f *following, files []*os.File) {
	b.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	w := NewWatcher(New(b.TempDir()), log)
	events, err := fsnotify.NewWatcher()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { events.Close() })
	f = newFollowing(w, events, func(plugin.Pulse) {})
	var ps []plugin.Plugin
	for i := range 100 {
		p := minutely("plugin"+strconv.Itoa(i), "1.0")
		dir, err := w.reader.folder(p)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		file, err := os.Create(filepath.Join(dir, fileName))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { file.Close() })
		if _, err := file.WriteString("1700000000"); err != nil {
			b.Fatal(err)
		}
		ps, files = append(ps, p), append(files, file)
	}
	f.replace(ps)
	for f.agenda.next() <= 0 {
		f.attend(f.agenda[0], moment{wall: w.wall()})
	}
	return f, files
}

// BenchmarkBeat is one beat of 100 plugins in turn: the plugin's own write, the
// event, the look at the file, the new deadline and the pulse.
func BenchmarkBeat(b *testing.B) {
	f, files := hundred(b)
	told := 0
	f.heard = func(plugin.Pulse) { told++ }
	now, i := moment{wall: time.Now().Round(0)}, 0
	date := make([]byte, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		// A hundred beats take a minute, so none is in the other's burst.
		now = moment{mono: now.mono + 600*time.Millisecond, wall: now.wall.Add(600 * time.Millisecond)}
		file := files[i%len(files)]
		date = strconv.AppendInt(date[:0], now.wall.Unix(), 10)
		if _, err := file.WriteAt(date, 0); err != nil {
			b.Fatal(err)
		}
		f.event(fsnotify.Event{Name: file.Name(), Op: fsnotify.Write}, now)
		for f.agenda.next() <= now.mono {
			f.attend(f.agenda[0], now)
		}
		i++
	}
	if told != i {
		b.Fatalf("%d beats, %d told", i, told)
	}
}

// BenchmarkOtherFile is an event of a file that is no heartbeat.
func BenchmarkOtherFile(b *testing.B) {
	f, files := hundred(b)
	ev := fsnotify.Event{Name: filepath.Join(filepath.Dir(files[0].Name()), "log"), Op: fsnotify.Write}
	now := moment{}
	b.ReportAllocs()
	for b.Loop() {
		now.mono += time.Second / noise
		f.event(ev, now)
	}
}
