package inherit

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// IgnoredSignals returns the signals that this process ignores, 1 << (number - 1)
// each; 0 without /proc. Programs that it executes ignore them, too.
func IgnoredSignals() (mask uint64) {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range bytes.Lines(status) {
		if text, ok := bytes.CutPrefix(line, []byte("SigIgn:")); ok {
			mask, _ = strconv.ParseUint(string(bytes.TrimSpace(text)), 16, 64)
		}
	}
	return mask
}

// ResetSignals sets each signal that this process ignores to its default action
// (EV-30). It is called just before execve: package os/signal does not notice the
// change. That package cannot reset signal 32, which C libraries reserve.
func ResetSignals() error {
	const last = 64
	ignored := IgnoredSignals()
	var byDefault struct{ handler, flags, restorer, mask uintptr } // the kernel's struct sigaction
	for sig := uintptr(1); sig <= last; sig++ {
		if ignored&(1<<(sig-1)) == 0 {
			continue
		}
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&byDefault)), 0, unsafe.Sizeof(byDefault.mask), 0, 0)
		if errno != 0 {
			return fmt.Errorf("reset signal %d: %w", sig, errno)
		}
	}
	return nil
}
