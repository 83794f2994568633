package inherit

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ignored holds the signals that the process of TestResetSignals ignores.
const ignored uint64 = 1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGINT-1) | 1<<(32-1) // Go sets handlers for all others

// ignoreSignals is a helper process that executes this program again with ignored
// signals.
func ignoreSignals() int {
	ignore := struct{ handler, flags, restorer, mask uintptr }{handler: 1} // SIG_IGN
	for sig := uintptr(1); sig <= 64; sig++ {
		if ignored&(1<<(sig-1)) != 0 {
			if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&ignore)), 0, 8, 0, 0); errno != 0 {
				panic(errno)
			}
		}
	}
	must(os.Setenv(helperKey, "resets"))
	must(syscall.Exec("/proc/self/exe", os.Args[:1], os.Environ()))
	return 1
}

// runReset is a helper process that executes a program which prints its ignored signals.
func runReset() int {
	fmt.Printf("before %x\n", IgnoredSignals())
	must(ResetSignals())
	must(syscall.Exec("/bin/grep", []string{"grep", "SigIgn", "/proc/self/status"}, nil))
	return 1
}

// EV-30: a program does not inherit the ignored signals of this process.
func TestResetSignals(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperKey+"=ignores")
	out, err := cmd.CombinedOutput()
	if want := fmt.Sprintf("before %x\nSigIgn:\t%016x\n", ignored, 0); err != nil || string(out) != want {
		t.Errorf("%v: got %q, want %q", err, strings.TrimSpace(string(out)), want)
	}
}
