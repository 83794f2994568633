// Package inherit resets the descriptors, umask and ignored signals that a process
// inherited and its children must not inherit (EV-30).
package inherit

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Drop marks inherited descriptors to be closed in children and sets the umask to 022
// (EV-30). It is the first call of a program.
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
