// Package inherit drops what a process was started with and is not to hand on
// (EV-30).
package inherit

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Drop makes this process independent of who started it, as far as
// its own files go (EV-30): descriptors that were left open for it are closed
// in its children, and the umask is 022. It is called first thing.
func Drop() error {
	unix.Umask(0o022)
	const first = 3
	err := unix.CloseRange(first, 1<<32-1, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	open, err := os.ReadDir("/proc/self/fd") // a kernel before 5.11
	if err != nil {
		return fmt.Errorf("list inherited descriptors: %w", err)
	}
	for _, e := range open {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= first {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
