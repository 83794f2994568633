package heartbeat_test

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

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
