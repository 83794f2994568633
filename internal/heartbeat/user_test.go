package heartbeat

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/layout"
)

// PL-07: a file that we may not read.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, layout.Heartbeat), []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // whom no mode keeps out
		asUser(t, 65534)
	}
	if r := readIn(dir); !r.found || !errors.Is(r.err, os.ErrPermission) {
		t.Errorf("%+v", r)
	}
}

// asUser makes the kernel judge this goroutine's file accesses as those of
// another user, until the test ends.
func asUser(t *testing.T, uid int) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Setfsuid(uid); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Setfsuid(0)
		runtime.UnlockOSThread()
	})
}
