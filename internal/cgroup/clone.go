package cgroup

import (
	"fmt"
	"math"
	"unsafe"

	"golang.org/x/sys/unix"
)

// checkFork fails if no process can be forked into a cgroup. Kernel versions do not
// show what the system call filter of a container permits, so checkFork calls
// clone3 with arguments that the kernel must reject: EINVAL means that it supports
// cgroups, E2BIG that it is older, ENOSYS or EPERM that the call is missing or
// filtered.
func checkFork() error {
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
