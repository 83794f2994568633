package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/testenv"
	"pluginsupervisor/plugin"
)

// EV-11: without a folder the Store works from memory and says so with each
// Save; when there is one, everything is written.
func TestNoFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "supervisor")
	if err := os.WriteFile(folder, []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "state.db")
	log, hook := quiet()
	s, m, err := Open(path, log)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(nothing, m); diff != "" {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
	if !wasLogged(hook, "in memory only") {
		t.Error("not logged")
	}
	for range 2 {
		if err := s.Save(sample()); !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("error %v, want not a directory", err)
		}
	}
	if v, ok := s.Acked("a"); v != "1.0" || !ok {
		t.Errorf("Acked = %q, %v", v, ok)
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, plugin.Changes{})
	s.kill()
	if _, m := mustOpen(t, path); !cmp.Equal(m, applied(nothing, sample())) {
		t.Errorf("remembered %+v", m)
	}
}

// EV-11: what was on the disk when it could not be read at first is kept, as
// far as nothing newer came.
func TestReadLater(t *testing.T) {
	path := statePath(t)
	s, _ := mustOpen(t, path)
	mustSave(t, s, sample())
	mustSave(t, s, plugin.Changes{Acked: map[string]*plugin.Acked{"old": {Version: "1"}, "both": {Version: "1"}}})
	s.kill()
	folder, hidden := filepath.Dir(path), filepath.Dir(path)+".hidden"
	if err := os.Rename(folder, hidden); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, m := mustOpen(t, path)
	if len(m.Acked) != 0 {
		t.Fatalf("remembered %+v", m)
	}
	newer := plugin.Changes{
		Acked:   map[string]*plugin.Acked{"new": {Version: "2"}, "both": {Version: "2"}},
		Pending: map[string]*plugin.PendingReport{"a": nil},
	}
	if err := s.Save(newer); err == nil {
		t.Error("saved without a folder")
	}
	if err := errors.Join(os.Remove(folder), os.Rename(hidden, folder)); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, plugin.Changes{Acked: map[string]*plugin.Acked{"last": {Version: "3"}}})
	s.kill()
	_, m = mustOpen(t, path)
	got := map[string]string{}
	for k, v := range m.Acked {
		got[k] = v.Version
	}
	want := map[string]string{"a": "1.0", "old": "1", "both": "2", "new": "2", "last": "3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("acknowledged (-want +got):\n%s", diff)
	}
	if len(m.Pending) != 0 || len(m.Restarts) != 1 {
		t.Errorf("owed %v, restarts %v", m.Pending, m.Restarts)
	}
}

// small mounts a file system of its own, of one MiB.
func small(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("state-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		// TestNoFolder and TestFullDisk show the same without a file system of their own.
		testenv.SkipWithout(t, testenv.Mount, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// EV-11: a file system that is really full.
func TestFullFileSystem(t *testing.T) {
	dir := small(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 900<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "state.db")
	s, _ := mustOpen(t, path)
	refused := 0
	for n := range 200 {
		if err := s.Save(big(n)); err != nil {
			refused++
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatalf("error %v, want no space", err)
			}
		}
	}
	if refused == 0 {
		t.Error("nothing refused")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, big(200))
	s.kill()
	if _, m := mustOpen(t, path); len(m.Events) != 201 {
		t.Errorf("%d events of 201 remembered", len(m.Events))
	}
	if n := len(asides(t, path)); n != 0 {
		t.Errorf("%d files moved aside", n)
	}
}

// EV-11: a disk that is full from the start, with a damaged file on it. Trying
// again and again leaves nothing behind.
func TestFullFromTheStart(t *testing.T) {
	dir := small(t)
	path := filepath.Join(dir, "state.db")
	if err := os.WriteFile(path, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("error %v, want no space", err)
	}
	s, _ := mustOpen(t, path)
	for range 20 {
		if err := s.Save(sample()); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("error %v, want no space", err)
		}
	}
	if n := len(asides(t, path)); n != 1 {
		t.Errorf("%d files moved aside, want the damaged one", n)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, plugin.Changes{})
	s.kill()
	if _, m := mustOpen(t, path); !cmp.Equal(m, applied(nothing, sample())) {
		t.Errorf("remembered %+v", m)
	}
}

// frozen returns a folder that can be made read-only, and what makes it so or
// undoes that. Permissions do not hold root back, a file system does.
func frozen(t *testing.T) (dir string, freeze func(readOnly bool) error) {
	t.Helper()
	if os.Geteuid() == 0 {
		dir = small(t)
		return dir, func(readOnly bool) error {
			var flags uintptr
			if readOnly {
				flags = unix.MS_RDONLY
			}
			return unix.Mount("", dir, "", unix.MS_REMOUNT|flags, "")
		}
	}
	dir = t.TempDir()
	return dir, func(readOnly bool) error {
		files, folder := os.FileMode(0o600), os.FileMode(0o700)
		if readOnly {
			files, folder = 0o400, 0o500
		}
		path := filepath.Join(dir, "state.db")
		return errors.Join(os.Chmod(path, files), os.Chmod(path+".wal", files), os.Chmod(dir, folder))
	}
}

// EV-11, SC-18: where nothing can be written what was owed is remembered, and
// what is new is written once that is possible.
func TestReadOnly(t *testing.T) {
	dir, freeze := frozen(t)
	path := filepath.Join(dir, "state.db")
	s, _ := mustOpen(t, path)
	mustSave(t, s, sample())
	s.kill()
	if err := freeze(true); err != nil {
		t.Fatal(err)
	}
	s, m := mustOpen(t, path)
	if diff := cmp.Diff(applied(nothing, sample()), m); diff != "" {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
	err := s.Save(plugin.Changes{Pending: map[string]*plugin.PendingReport{"a": nil}})
	if !errors.Is(err, unix.EROFS) && !errors.Is(err, unix.EACCES) {
		t.Errorf("error %v, want read-only", err)
	}
	if err := freeze(false); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, plugin.Changes{Acked: map[string]*plugin.Acked{"b": {Version: "2"}}})
	s.kill()
	if _, m := mustOpen(t, path); len(m.Pending) != 0 || len(m.Acked) != 2 {
		t.Errorf("remembered %+v", m)
	}
}
