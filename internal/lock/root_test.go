package lock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/testenv"
)

func takeRoot(t *testing.T, root string) *Root {
	t.Helper()
	r, err := TakeRoot(root, lockPath(root))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Release)
	return r
}

func lockPath(root string) string { return filepath.Join(root, "supervisor", "supervisor.lock") }

// EV-15: a second one gets an error with the pid of the first, by either part of the
// lock.
func TestRootIsTakenOnce(t *testing.T) {
	root := t.TempDir()
	first := takeRoot(t, root)
	refused := func(when string) {
		t.Helper()
		_, err := TakeRoot(root, lockPath(root))
		if held := (*HeldError)(nil); !errors.As(err, &held) || held.PID != os.Getpid() || held.Path != lockPath(root) {
			t.Errorf("%s: %v, want a HeldError with our pid", when, err)
		}
	}
	refused("without a lock file")
	if err := first.Keep(); err != nil {
		t.Fatal(err)
	}
	refused("with one")
	if b, _ := os.ReadFile(lockPath(root)); string(b) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("file holds %q", b)
	}
	// EV-29: the lock file is removed.
	if err := os.RemoveAll(filepath.Dir(lockPath(root))); err != nil {
		t.Fatal(err)
	}
	refused("after it was removed")
	if err := first.Keep(); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(lockPath(root)); string(b) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("the new file holds %q", b)
	}
	first.Release()
	first.Release()
	if b, _ := os.ReadFile(lockPath(root)); len(b) != 0 {
		t.Errorf("after release the file holds %q", b)
	}
	if pid := Holder(root, lockPath(root)); pid != 0 {
		t.Errorf("after release process %d still holds it", pid)
	}
	takeRoot(t, root)
}

// EV-15: a supervisor of an earlier version locks the file only.
func TestRootOfAnEarlierVersion(t *testing.T) {
	root := t.TempDir()
	other := holdElsewhere(t, lockPath(root))
	r := takeRoot(t, root)
	err := r.Keep()
	if held := (*HeldError)(nil); !errors.As(err, &held) || held.PID != other.Process.Pid {
		t.Errorf("%v, want a HeldError with pid %d", err, other.Process.Pid)
	}
}

// mountFileSystem mounts a small file system.
func mountFileSystem(t *testing.T) (dir string, readOnly func(bool)) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("lock-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		testenv.SkipWithout(t, testenv.Mount, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, func(is bool) {
		flags := uintptr(unix.MS_REMOUNT)
		if is {
			flags |= unix.MS_RDONLY
		}
		if err := unix.Mount("", dir, "", flags, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// EV-28: on a read-only file system the root is locked all the same, with an old lock
// file and without. The file is written when that is possible.
func TestRootOnReadOnlyFileSystem(t *testing.T) {
	for name, old := range map[string]bool{"with a lock file": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			root, readOnly := mountFileSystem(t)
			if old {
				before := takeRoot(t, root)
				if err := before.Keep(); err != nil {
					t.Fatal(err)
				}
				before.Release()
			}
			readOnly(true)
			r := takeRoot(t, root)
			if err := r.Keep(); !errors.Is(err, unix.EROFS) {
				t.Errorf("keep: %v, want read-only", err)
			}
			_, err := TakeRoot(root, lockPath(root))
			if held := (*HeldError)(nil); !errors.As(err, &held) || held.PID != os.Getpid() {
				t.Errorf("%v, want a HeldError with our pid", err)
			}
			readOnly(false)
			if err := r.Keep(); err != nil {
				t.Fatal(err)
			}
			if b, _ := os.ReadFile(lockPath(root)); string(b) != fmt.Sprintln(os.Getpid()) {
				t.Errorf("file holds %q", b)
			}
			r.Release()
		})
	}
}

// EV-28: where a lock file cannot be made, its stand-in folder is locked.
func TestStandIn(t *testing.T) {
	root, readOnly := mountFileSystem(t)
	path, folder := filepath.Join(root, "cache", "p.lock"), filepath.Join(root, "p")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	readOnly(true)
	if _, _, err := Shared(t.Context(), path, nil); !errors.Is(err, unix.EROFS) {
		t.Errorf("without a stand-in: %v", err)
	}
	first, _, err := Take(t.Context(), path, folder, true, Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	second, waited, err := Take(withTimeout(t, deathTimeout), path, folder, false, Hooks{Waiting: first.Release})
	if err != nil || !waited {
		t.Fatalf("second: waited %t, %v", waited, err)
	}
	second.Release()
}
