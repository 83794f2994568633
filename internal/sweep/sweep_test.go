package sweep

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
)

func makeFile(t *testing.T, path string) string {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("x"), 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Leftovers of killed processes are removed. Files that are still needed, that a
// running process uses, or that were set aside for an operator are kept.
func TestRun(t *testing.T) {
	root, err := os.MkdirTemp("", "s-") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	own, long := layout.Supervisor(root), strings.Repeat("n", 250)
	removed := []string{
		filepath.Dir(makeFile(t, filepath.Join(layout.HalfRemoved(layout.Plugin(root, "p")), "1.0", "f"))),
		filepath.Dir(makeFile(t, filepath.Join(layout.HalfRemoved(layout.Version(root, "q", "1.0")), "f"))),
		makeFile(t, filepath.Join(layout.Plugins(root), layout.TempDatabase+"ABC")),
		makeFile(t, durable.TempName(layout.State(root))),
		makeFile(t, durable.TempName(layout.InstanceID(root))),
		makeFile(t, durable.TempName(layout.Note(root, layout.Transactions, "p"))),
		makeFile(t, durable.TempName(layout.Note(root, layout.Transactions, long))),
		makeFile(t, durable.TempName(layout.Note(root, layout.Quarantine, "p@1.0"))),
		makeFile(t, durable.TempName(layout.Note(root, layout.Sequences, "p"))),
		makeFile(t, durable.TempName(layout.Note(root, layout.History, "p"))),
		makeFile(t, filepath.Join(own, layout.WritableProbe+"1")),
		filepath.Join(own, "old.sock"),
	}
	dead := listen(t, filepath.Join(own, "old.sock"))
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	held := makeFile(t, filepath.Join(layout.Plugins(root), layout.TempDatabase+"HELD"))
	f, err := os.Open(held)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := lock.TryFile(f, true); err != nil {
		t.Fatal(err)
	}
	alive := listen(t, layout.Socket(root))
	defer alive.Close()
	kept := []string{
		held, layout.Socket(root),
		makeFile(t, layout.Database(root)),
		makeFile(t, layout.Database(root)+".damaged-20260101T000000Z"),
		makeFile(t, filepath.Join(layout.Version(root, "q", "2.0.new"), "config.json")),
		makeFile(t, layout.State(root)), makeFile(t, layout.WAL(layout.State(root))),
		makeFile(t, layout.Note(root, layout.Transactions, "p")), makeFile(t, layout.Note(root, layout.Transactions, long)),
		makeFile(t, layout.Note(root, layout.Quarantine, "p@1.0")+".damaged-20260101T000000Z"),
		makeFile(t, layout.Log(root, "p")),
	}
	time.Sleep(2 * timestampLag)
	since := time.Now()
	kept = append(kept, makeFile(t, durable.TempName(layout.Note(root, layout.Transactions, "now"))))

	found, err := Run(t.Context(), root, since)
	if err != nil {
		t.Error(err)
	}
	for _, path := range removed {
		if exists(path) {
			t.Errorf("left: %s", path)
		}
	}
	for _, path := range kept {
		if !exists(path) {
			t.Errorf("removed: %s", path)
		}
	}
	const want = "2 half removed folders, 1 temporary databases, 8 temporary files, 1 dead sockets"
	if found.String() != want {
		t.Errorf("found %q, want %q", found, want)
	}
	if found, err := Run(t.Context(), root, since); err != nil || found.String() != "" {
		t.Errorf("again: %q, %v", found, err)
	}
	if found, err := Run(t.Context(), filepath.Join(root, "none"), since); err != nil || len(found) > 0 {
		t.Errorf("no root: %q, %v", found, err)
	}
}
