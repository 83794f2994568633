package inotify

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func open(t *testing.T) *Queue {
	t.Helper()
	q, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func add(t *testing.T, q *Queue, path string, mask uint32) int {
	t.Helper()
	watch, err := q.Add(path, mask)
	if err != nil {
		t.Fatal(err)
	}
	return watch
}

// expect reads until that many events came. Which of them come together is the
// kernel's affair.
func expect(t *testing.T, q *Queue, want ...Event) {
	t.Helper()
	var got []Event
	for len(got) < len(want) {
		events, err := q.Read(time.Now().Add(30 * time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			break
		}
		got = append(got, events...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("want (-), read (+):\n", diff)
	}
}

func TestEvents(t *testing.T) {
	q, dir := open(t), t.TempDir()
	path := filepath.Join(dir, "file")
	folder := add(t, q, dir, unix.IN_CREATE|unix.IN_MOVED_TO)
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := add(t, q, path, unix.IN_MODIFY)
	if file == folder || file <= 0 {
		t.Fatalf("watches %d and %d", folder, file)
	}
	if again := add(t, q, path, unix.IN_CLOSE_WRITE); again != file {
		t.Errorf("the same file is watch %d, was %d", again, file)
	}
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Rename(path, path+"2"), os.Remove(path+"2")); err != nil {
		t.Fatal(err)
	}
	expect(
		t, q,
		Event{folder, unix.IN_CREATE, "file"}, Event{file, unix.IN_CLOSE_WRITE, ""},
		Event{folder, unix.IN_MOVED_TO, "file2"}, Event{file, unix.IN_IGNORED, ""},
	)
	q.Drop(folder)
	q.Drop(folder) // no harm
	expect(t, q, Event{folder, unix.IN_IGNORED, ""})
	if _, err := q.Add(path, unix.IN_MODIFY); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// A Read ends when its time has come, though it has before.
func TestUntil(t *testing.T) {
	q := open(t)
	for _, wait := range []time.Duration{time.Millisecond, -time.Hour, time.Millisecond} {
		until := time.Now().Add(wait)
		if events, err := q.Read(until); len(events) > 0 || err != nil {
			t.Errorf("%v, %v", events, err)
		}
		if time.Now().Before(until) {
			t.Error("ended too early")
		}
	}
}

// An Interrupt that comes before the Read ends it as well, and a single one.
func TestInterrupt(t *testing.T) {
	q, dir := open(t), t.TempDir()
	for range 100 {
		q.Interrupt()
		if events, err := q.Read(time.Time{}); len(events) > 0 || err != nil {
			t.Fatalf("%v, %v", events, err)
		}
	}
	turn, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for range turn {
			q.Interrupt()
		}
	}()
	for i := range 1000 {
		turn <- struct{}{}
		if events, err := q.Read(time.Now().Add(time.Duration(i%3) * time.Hour)); len(events) > 0 || err != nil {
			t.Fatalf("%v, %v", events, err)
		}
	}
	close(turn)
	<-done
	folder := add(t, q, dir, unix.IN_CREATE)
	if err := os.Mkdir(filepath.Join(dir, "new"), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := q.Read(time.Time{})
	if err == nil && len(got) == 0 { // the last of them had its time come as it was interrupted
		got, err = q.Read(time.Time{})
	}
	if diff := cmp.Diff([]Event{{folder, unix.IN_CREATE | unix.IN_ISDIR, "new"}}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// While it rests events gather, and nothing but an Interrupt and the time ends
// the Read.
func TestRest(t *testing.T) {
	q, dir := open(t), t.TempDir()
	q.Rest(time.Hour)
	folder := add(t, q, dir, unix.IN_CREATE)
	create := func(name string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	created := func(name string) Event { return Event{folder, unix.IN_CREATE | unix.IN_ISDIR, name} }
	create("first")
	expect(t, q, created("first"))
	create("second")
	if events, err := q.Read(time.Now().Add(10 * time.Millisecond)); len(events) > 0 || err != nil {
		t.Errorf("it did not rest: %v, %v", events, err)
	}
	q.Interrupt()
	if events, err := q.Read(time.Time{}); len(events) > 0 || err != nil {
		t.Errorf("it did not rest: %v, %v", events, err)
	}
	q.rested = time.Now().Add(10 * time.Millisecond)
	create("third")
	expect(t, q, created("second"), created("third"))
	if time.Until(q.rested) < 30*time.Minute {
		t.Errorf("the next rest is over at %v", q.rested)
	}
	q.rested = time.Time{}
	create("fourth")
	expect(t, q, created("fourth"))
}

func TestClose(t *testing.T) {
	q := open(t)
	waiting := make(chan error)
	go func() {
		_, err := q.Read(time.Time{})
		waiting <- err
	}()
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waiting; !errors.Is(err, os.ErrClosed) {
		t.Errorf("the Read ended with %v", err)
	}
	if _, err := q.Add("/", unix.IN_CREATE); err == nil {
		t.Error("a closed queue watches")
	}
	q.Interrupt()
	q.Drop(1)
}

// queued is an event as the kernel writes it.
func queued(e Event, room int) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(e.Watch))
	b = binary.NativeEndian.AppendUint32(b, e.Mask)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = binary.NativeEndian.AppendUint32(b, uint32(room))
	return append(append(b, e.Name...), make([]byte, room-len(e.Name))...)
}

func TestParse(t *testing.T) {
	want := []Event{{1, unix.IN_CREATE | unix.IN_ISDIR, "name"}, {7, unix.IN_MODIFY, ""}, {-1, unix.IN_Q_OVERFLOW, ""}}
	var b []byte
	for i, room := range []int{16, 0, 0} {
		b = append(b, queued(want[i], room)...)
	}
	b = append(b, queued(Event{2, unix.IN_CREATE, "cut"}, 16)[:20]...)
	if diff := cmp.Diff(want, parse(b)); diff != "" {
		t.Error(diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(queued(Event{1, unix.IN_CREATE, "name"}, 16))
	f.Add(append(queued(Event{1, unix.IN_MODIFY, ""}, 0), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(parse(b)); n > len(b)/unix.SizeofInotifyEvent {
			t.Errorf("%d events in %d bytes", n, len(b))
		}
	})
}
