package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"pluginsupervisor/internal/record"
)

func TestST09Locked(t *testing.T) { // ST-09
	r := newTestRegistry(t)
	putRaw(t, r.path, minimalRecord("a", "1"))
	holder := startProcess(t, "holder", r)
	hasty := New(Options{Root: filepath.Dir(r.dir), Wait: 60 * time.Millisecond})
	t.Run("ST-09 a clear error after the wait", func(t *testing.T) {
		_, err := hasty.List(t.Context())
		if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), r.path) {
			t.Errorf("%v", err)
		}
		if _, err := hasty.Put(t.Context(), record.Record{Name: "a", Version: "2"}); !errors.Is(err, ErrLocked) {
			t.Errorf("%v", err)
		}
	})
	t.Run("ST-09 the wait ends with the context", func(t *testing.T) {
		patient := New(Options{Root: filepath.Dir(r.dir), Wait: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := patient.List(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
	t.Run("ST-09 free within the wait", func(t *testing.T) {
		patient := New(Options{Root: filepath.Dir(r.dir), Wait: time.Minute})
		done := make(chan []string)
		go func() {
			l, err := patient.List(context.Background())
			done <- append(describeList(l), fmt.Sprint(err))
		}()
		_ = holder.in.Close()
		if got := strings.Join(<-done, " "); got != "1 a 1 <nil>" {
			t.Error(got)
		}
	})
	if got := listSetAside(t, r); len(got) > 0 {
		t.Errorf("set aside: %v", got)
	}
}

// Readers share the file, and each operation closes it at once.
func TestST09NothingHeld(t *testing.T) { // ST-09
	r := newTestRegistry(t)
	putRaw(t, r.path, minimalRecord("a", "1"))
	err := r.withDatabase(t.Context(), false, func(*database) error {
		hasty := New(Options{Root: filepath.Dir(r.dir), Wait: 10 * time.Millisecond})
		if _, err := hasty.List(t.Context()); err != nil {
			t.Errorf("second reader: %v", err)
		}
		if _, err := hasty.Put(t.Context(), record.Record{Name: "b", Version: "1"}); !errors.Is(err, ErrLocked) {
			t.Errorf("a writer during a read: %v", err)
		}
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	putRecord(t, r, minimalRecord("b", "1"))
	db, err := bbolt.Open(r.path, 0o640, &bbolt.Options{Timeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatalf("still locked: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if n := countOpenFiles(t, r.path); n != 0 {
		t.Errorf("%d descriptors left open", n)
	}
}

func countOpenFiles(t *testing.T, path string) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(target, path) {
			n++
		}
	}
	return n
}

// A write that the system refuses is an error; the database stays as it was.
func TestNoSpaceToWrite(t *testing.T) {
	r := newTestRegistry(t)
	putRaw(t, r.path, minimalRecord("a", "1"))
	line := startProcess(t, "limited", r).readLine()
	if !strings.Contains(line, "file too large") {
		t.Errorf("put: %s", line)
	}
	checkUndamaged(t, expectPlugins(t, r, "1 a 1"))
	if got := listSetAside(t, r); len(got) > 0 {
		t.Errorf("set aside: %v", got)
	}
}
