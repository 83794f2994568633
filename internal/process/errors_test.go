package process

import (
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"pluginsupervisor/internal/hostfault"
)

// EV-24: a fault of the host is not reported as a fault of the program.
func TestHostFaults(t *testing.T) {
	for _, errno := range []syscall.Errno{
		syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ENOSPC, syscall.ETXTBSY, syscall.EIO, syscall.ESTALE,
	} {
		if err := errStart(Command{Path: "/bin/sh", Dir: "/"}, errno); !hostfault.Is(err) {
			t.Errorf("EV-24: %v is reported as the program's fault: %v", errno, err)
		}
		if err := errNotStarted(fmt.Errorf("open pipe: %w", errno)); !hostfault.Is(err) {
			t.Errorf("EV-24: %v is reported as the program's fault: %v", errno, err)
		}
	}
	for _, errno := range []syscall.Errno{syscall.ENOENT, syscall.EACCES, syscall.ENOEXEC, syscall.ENOTDIR, syscall.EINVAL, syscall.E2BIG, syscall.ELOOP} {
		if err := errStart(Command{Path: "/none", Dir: "/"}, errno); hostfault.Is(err) {
			t.Errorf("EV-24: %v is reported as the host's fault: %v", errno, err)
		}
	}
	for _, err := range []error{nil, fs.ErrNotExist, ErrDraining, newFailure("exit 3"), errTimedOut(1)} {
		if hostfault.Is(err) {
			t.Errorf("EV-24: %v is reported as the host's fault", err)
		}
	}
}
