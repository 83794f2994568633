package lock

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

func openFolder(t *testing.T, dir string) *os.File {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestTryFile(t *testing.T) {
	dir := t.TempDir()
	one, two, three := openFolder(t, dir), openFolder(t, dir), openFolder(t, dir)
	for _, f := range []*os.File{one, two} {
		if err := TryFile(f, false); err != nil {
			t.Fatalf("shared: %v", err)
		}
	}
	if err := TryFile(three, true); !errors.Is(err, ErrHeld) {
		t.Fatalf("exclusive while shared is held: %v", err)
	}
	if err := errors.Join(ReleaseFile(one), ReleaseFile(two), TryFile(three, true)); err != nil {
		t.Fatalf("after both released: %v", err)
	}
	if err := ReleaseFile(three); err != nil {
		t.Fatal(err)
	}
	if err := TryFile(three, true); err == nil {
		t.Error("a closed file was locked")
	}
}

func TestWaitFile(t *testing.T) {
	dir := t.TempDir()
	holder, waiter := openFolder(t, dir), openFolder(t, dir)
	if err := TryFile(holder, true); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := WaitFile(ctx, waiter, true); !errors.Is(err, context.Canceled) {
		t.Fatalf("while it is held: %v", err)
	}
	time.AfterFunc(20*time.Millisecond, func() { ReleaseFile(holder) })
	if err := WaitFile(withTimeout(t, 10*time.Second), waiter, true); err != nil {
		t.Errorf("after it was released: %v", err)
	}
}
