// Package procfs reads the processes of the host from /proc: their pids, states and
// environments.
package procfs

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// PIDs lists the pids of the host.
func PIDs() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("open process list: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("read process list: %w", err)
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Variable returns the value of a variable in the environment that a process was started
// with. ok is false also for a process that is gone or of another user.
func Variable(pid int, name string) (value string, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return "", false
	}
	for kv := range bytes.SplitSeq(b, []byte{0}) {
		if v, found := bytes.CutPrefix(kv, []byte(name+"=")); found {
			return string(v), true
		}
	}
	return "", false
}

// BootID returns the kernel's id of the current boot.
func BootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("identify this boot: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// TicksPerSecond is the unit of the start time in /proc/PID/stat: USER_HZ, which is 100
// on every supported architecture.
const TicksPerSecond = 100

// BootTicks returns the time since boot in the unit of /proc/PID/stat, at least 1.
func BootTicks() uint64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 1<<64 - 1 // unknown: later than every start time
	}
	return max(1, uint64(now.Nano())/(1e9/TicksPerSecond))
}
