package testenv

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// MountHung mounts a file system at dir that does not answer: a process that uses dir
// hangs until thaw is called or the test ends; then its system call fails.
func MountHung(t testing.TB, dir string) (thaw func()) {
	t.Helper()
	server, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Mount("hung", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", server))
	}
	if err != nil {
		SkipWithout(t, Fuse, err)
	}
	thawed := false
	thaw = func() {
		if thawed {
			return
		}
		thawed = true
		_ = unix.Close(server) // system calls that wait for an answer fail
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	}
	t.Cleanup(thaw)
	return thaw
}
