package lock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func withTimeout(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func mustLock(t *testing.T, how func(context.Context, string, func()) (func(), bool, error), path string) func() {
	t.Helper()
	release, waited, err := how(withTimeout(t, 10*time.Second), path, nil)
	if err != nil || waited {
		t.Fatalf("free lock: waited %t, error %v", waited, err)
	}
	return release
}

func TestSharedAndExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache", "plugin-manager", "p.lock")
	one, two := mustLock(t, Shared, path), mustLock(t, Shared, path)

	ctx, cancel := context.WithCancel(t.Context())
	waits := 0
	release, waited, err := Exclusive(ctx, path, func() { waits++; cancel() })
	if release != nil || !waited || !errors.Is(err, context.Canceled) || waits != 1 {
		t.Fatalf("exclusive while shared is held: waited %t, called %d times, error %v", waited, waits, err)
	}

	one()
	one() // a second release is harmless
	release, waited, err = Exclusive(withTimeout(t, 10*time.Second), path, two)
	if err != nil || !waited {
		t.Fatalf("exclusive after shared: waited %t, error %v", waited, err)
	}
	release()
	mustLock(t, Exclusive, path)()
}

func TestFileAndFolderAreMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "p.lock")
	defer mustLock(t, Shared, path)()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&^0o640 != 0 {
		t.Fatalf("lock file: %v, %v", info, err)
	}
}

func TestCancelledContextTakesNoLock(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "p.lock")
	if _, _, err := Shared(ctx, path, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a file was made: %v", err)
	}
}

func TestRemovedFileIsNotLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.lock")
	old := mustLock(t, Exclusive, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	fresh := mustLock(t, Exclusive, path) // the one at the path, not the removed one
	old()
	defer fresh()
	if _, err := TryExclusive(path); !errors.As(err, new(*HeldError)) {
		t.Fatalf("second lock of the new file: %v", err)
	}
}

func TestSymlinkIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "p.lock")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Shared(t.Context(), filepath.Join(dir, "p.lock"), nil); err == nil {
		t.Fatal("a symbolic link was locked")
	}
}
