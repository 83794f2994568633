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

func openQueue(t *testing.T) *Queue {
	t.Helper()
	q, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func addWatch(t *testing.T, q *Queue, path string, mask uint32) int {
	t.Helper()
	watch, err := q.Add(path, mask)
	if err != nil {
		t.Fatal(err)
	}
	return watch
}

// expectEvents reads until that many events came, in one or more reads.
func expectEvents(t *testing.T, q *Queue, want ...Event) {
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
	q, dir := openQueue(t), t.TempDir()
	path := filepath.Join(dir, "file")
	folder := addWatch(t, q, dir, unix.IN_CREATE|unix.IN_MOVED_TO)
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := addWatch(t, q, path, unix.IN_MODIFY)
	if file == folder || file <= 0 {
		t.Fatalf("watches %d and %d", folder, file)
	}
	if again := addWatch(t, q, path, unix.IN_CLOSE_WRITE); again != file {
		t.Errorf("watch %d for the same file, want %d", again, file)
	}
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Rename(path, path+"2"), os.Remove(path+"2")); err != nil {
		t.Fatal(err)
	}
	expectEvents(
		t, q,
		Event{folder, unix.IN_CREATE, "file"}, Event{file, unix.IN_CLOSE_WRITE, ""},
		Event{folder, unix.IN_MOVED_TO, "file2"}, Event{file, unix.IN_IGNORED, ""},
	)
	q.Drop(folder)
	q.Drop(folder) // has no effect
	expectEvents(t, q, Event{folder, unix.IN_IGNORED, ""})
	if _, err := q.Add(path, unix.IN_MODIFY); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v, want not exist", err)
	}
}

// A Read returns at its time, also after an earlier one did.
func TestUntil(t *testing.T) {
	q := openQueue(t)
	for _, wait := range []time.Duration{time.Millisecond, -time.Hour, time.Millisecond} {
		until := time.Now().Add(wait)
		if events, err := q.Read(until); len(events) > 0 || err != nil {
			t.Errorf("%v, %v", events, err)
		}
		if time.Now().Before(until) {
			t.Error("Read returned before its time")
		}
	}
}

// An Interrupt before the Read makes exactly one Read return.
func TestInterrupt(t *testing.T) {
	q, dir := openQueue(t), t.TempDir()
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
	folder := addWatch(t, q, dir, unix.IN_CREATE)
	if err := os.Mkdir(filepath.Join(dir, "new"), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := q.Read(time.Time{})
	if err == nil && len(got) == 0 { // the last Read reached its time and was also interrupted
		got, err = q.Read(time.Time{})
	}
	if diff := cmp.Diff([]Event{{folder, unix.IN_CREATE | unix.IN_ISDIR, "new"}}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// During a rest events are collected, and only an Interrupt or the time makes Read
// return.
func TestRest(t *testing.T) {
	q, dir := openQueue(t), t.TempDir()
	q.Rest(time.Hour)
	folder := addWatch(t, q, dir, unix.IN_CREATE)
	create := func(name string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	created := func(name string) Event { return Event{folder, unix.IN_CREATE | unix.IN_ISDIR, name} }
	create("first")
	expectEvents(t, q, created("first"))
	create("second")
	if events, err := q.Read(time.Now().Add(10 * time.Millisecond)); len(events) > 0 || err != nil {
		t.Errorf("read %v, %v during the rest, want none", events, err)
	}
	q.Interrupt()
	if events, err := q.Read(time.Time{}); len(events) > 0 || err != nil {
		t.Errorf("read %v, %v during the rest, want none", events, err)
	}
	q.rested = time.Now().Add(10 * time.Millisecond)
	create("third")
	expectEvents(t, q, created("second"), created("third"))
	if time.Until(q.rested) < 30*time.Minute {
		t.Errorf("the next rest lasts until %v, want an hour", q.rested)
	}
	q.rested = time.Time{}
	create("fourth")
	expectEvents(t, q, created("fourth"))
}

func TestClose(t *testing.T) {
	q := openQueue(t)
	waiting := make(chan error)
	go func() {
		_, err := q.Read(time.Time{})
		waiting <- err
	}()
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waiting; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read returned %v, want os.ErrClosed", err)
	}
	if _, err := q.Add("/", unix.IN_CREATE); err == nil {
		t.Error("Add to a closed queue succeeded, want an error")
	}
	q.Interrupt()
	q.Drop(1)
}

// encodeEvent returns an event as the kernel writes it, with the given size of its
// name.
func encodeEvent(e Event, size int) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(e.Watch))
	b = binary.NativeEndian.AppendUint32(b, e.Mask)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = binary.NativeEndian.AppendUint32(b, uint32(size))
	return append(append(b, e.Name...), make([]byte, size-len(e.Name))...)
}

func TestParse(t *testing.T) {
	want := []Event{{1, unix.IN_CREATE | unix.IN_ISDIR, "name"}, {7, unix.IN_MODIFY, ""}, {-1, unix.IN_Q_OVERFLOW, ""}}
	var b []byte
	for i, size := range []int{16, 0, 0} {
		b = append(b, encodeEvent(want[i], size)...)
	}
	b = append(b, encodeEvent(Event{2, unix.IN_CREATE, "cut"}, 16)[:20]...)
	if diff := cmp.Diff(want, parseEvents(b)); diff != "" {
		t.Error(diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(encodeEvent(Event{1, unix.IN_CREATE, "name"}, 16))
	f.Add(append(encodeEvent(Event{1, unix.IN_MODIFY, ""}, 0), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(parseEvents(b)); n > len(b)/unix.SizeofInotifyEvent {
			t.Errorf("%d events in %d bytes", n, len(b))
		}
	})
}
