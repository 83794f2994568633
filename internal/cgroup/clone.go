package cgroup

import (
	"fmt"
	"math"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forkable tells why no process can be forked into a cgroup, or nil. Neither
// the version of a kernel nor that of its headers says what a container's
// filter lets through, so the kernel is asked, with arguments it must refuse:
// one that knows of cgroups finds them invalid, an older one too long, an even
// older one or a filter does not know the call.
func forkable() error {
	args := struct {
		flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize uint64
		cgroup                                                                                   uint64
	}{flags: unix.CLONE_INTO_CGROUP, exitSignal: math.MaxUint64, cgroup: math.MaxUint64}
	_, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
	if errno != unix.EINVAL {
		return fmt.Errorf("fork into a cgroup, which needs Linux 5.7 and clone3: %w", errno)
	}
	return nil
}
