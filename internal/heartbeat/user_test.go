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

// PL-07: a file without read permission.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, layout.Heartbeat), []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // root ignores the mode
		accessAsUser(t, 65534)
	}
	if r := readFolder(dir); !r.found || !errors.Is(r.err, os.ErrPermission) {
		t.Errorf("reading %+v, want found without permission", r)
	}
}

// accessAsUser makes this goroutine access files as another user, until the test
// ends.
func accessAsUser(t *testing.T, uid int) {
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
