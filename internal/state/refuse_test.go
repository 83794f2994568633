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

// EV-11: without a folder the Store works from memory and each Save fails; once the
// folder can be made, everything is written.
func TestNoFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "supervisor")
	if err := os.WriteFile(folder, []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "state.db")
	log, hook := newTestLog()
	s, m, err := Open(path, log)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(emptyMemory, m); diff != "" {
		t.Errorf("memory (-want +got):\n%s", diff)
	}
	if !wasLogged(hook, "in memory only") {
		t.Error("no log line about memory only")
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
	s.closeWithoutFold()
	if _, m := mustOpen(t, path); !cmp.Equal(m, applyChanges(emptyMemory, sample())) {
		t.Errorf("read %+v, want what was saved", m)
	}
}

// EV-11: a state that could not be read at the start is read later; newer changes
// win.
func TestReadLater(t *testing.T) {
	path := statePath(t)
	s, _ := mustOpen(t, path)
	mustSave(t, s, sample())
	mustSave(t, s, plugin.Changes{Acked: map[string]*plugin.Acked{"old": {Version: "1"}, "both": {Version: "1"}}})
	s.closeWithoutFold()
	folder, hidden := filepath.Dir(path), filepath.Dir(path)+".hidden"
	if err := os.Rename(folder, hidden); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, m := mustOpen(t, path)
	if len(m.Acked) != 0 {
		t.Fatalf("read %+v, want nothing", m)
	}
	newer := plugin.Changes{
		Acked:   map[string]*plugin.Acked{"new": {Version: "2"}, "both": {Version: "2"}},
		Pending: map[string]*plugin.PendingReport{"a": nil},
	}
	if err := s.Save(newer); err == nil {
		t.Error("saved without a folder, want an error")
	}
	if err := errors.Join(os.Remove(folder), os.Rename(hidden, folder)); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, plugin.Changes{Acked: map[string]*plugin.Acked{"last": {Version: "3"}}})
	s.closeWithoutFold()
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
		t.Errorf("pending %v, restarts %v, want none and 1", m.Pending, m.Restarts)
	}
}

// mountSmall mounts a file system of one MiB.
func mountSmall(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("state-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		// TestNoFolder and TestFullDisk cover the same without a mount.
		testenv.SkipWithout(t, testenv.Mount, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// EV-11: a real full file system.
func TestFullFileSystem(t *testing.T) {
	dir := mountSmall(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 900<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "state.db")
	s, _ := mustOpen(t, path)
	failed := 0
	for n := range 200 {
		if err := s.Save(bigChange(n)); err != nil {
			failed++
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatalf("error %v, want no space", err)
			}
		}
	}
	if failed == 0 {
		t.Error("no Save failed on a full disk")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, bigChange(200))
	s.closeWithoutFold()
	if _, m := mustOpen(t, path); len(m.Events) != 201 {
		t.Errorf("read %d events, want 201", len(m.Events))
	}
	if n := len(listAsides(t, path)); n != 0 {
		t.Errorf("%d files moved aside, want 0", n)
	}
}

// EV-11: a disk that is full from the start, with a damaged file on it. Repeated
// attempts leave no further files.
func TestFullFromTheStart(t *testing.T) {
	dir := mountSmall(t)
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
	if n := len(listAsides(t, path)); n != 1 {
		t.Errorf("%d files moved aside, want the damaged one", n)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, plugin.Changes{})
	s.closeWithoutFold()
	if _, m := mustOpen(t, path); !cmp.Equal(m, applyChanges(emptyMemory, sample())) {
		t.Errorf("read %+v, want what was saved", m)
	}
}

// makeFreezableFolder returns a folder and a function that makes it read-only or
// writable. Root ignores permissions, so for root it is a file system.
func makeFreezableFolder(t *testing.T) (dir string, freeze func(readOnly bool) error) {
	t.Helper()
	if os.Geteuid() == 0 {
		dir = mountSmall(t)
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

// EV-11, SC-18: on a read-only file system pending reports are read, and changes are
// written once that is possible.
func TestReadOnly(t *testing.T) {
	dir, freeze := makeFreezableFolder(t)
	path := filepath.Join(dir, "state.db")
	s, _ := mustOpen(t, path)
	mustSave(t, s, sample())
	s.closeWithoutFold()
	if err := freeze(true); err != nil {
		t.Fatal(err)
	}
	s, m := mustOpen(t, path)
	if diff := cmp.Diff(applyChanges(emptyMemory, sample()), m); diff != "" {
		t.Errorf("memory (-want +got):\n%s", diff)
	}
	err := s.Save(plugin.Changes{Pending: map[string]*plugin.PendingReport{"a": nil}})
	if !errors.Is(err, unix.EROFS) && !errors.Is(err, unix.EACCES) {
		t.Errorf("error %v, want read-only", err)
	}
	if err := freeze(false); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, plugin.Changes{Acked: map[string]*plugin.Acked{"b": {Version: "2"}}})
	s.closeWithoutFold()
	if _, m := mustOpen(t, path); len(m.Pending) != 0 || len(m.Acked) != 2 {
		t.Errorf("read %+v, want what was saved", m)
	}
}
