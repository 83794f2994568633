package hostfault

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

// EV-24: faults of the host are distinguished from faults of a plugin.
func TestIs(t *testing.T) {
	for _, errno := range []syscall.Errno{
		syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ENOSPC, syscall.EIO, syscall.EROFS, syscall.ETXTBSY,
		syscall.ESTALE, syscall.ENOLCK,
	} {
		if err := fmt.Errorf("open pipe: %w", errno); !Is(err) {
			t.Errorf("%v is not a fault of the host", err)
		}
	}
	if err := New("disk full", fs.ErrExist); !Is(fmt.Errorf("start: %w", err)) || !errors.Is(err, fs.ErrExist) || err.Error() != "disk full" {
		t.Errorf("%v is not a fault of the host", err)
	}
	for _, err := range []error{
		nil, errors.New("exit 3"), fs.ErrNotExist,
		syscall.ENOENT, syscall.EACCES, syscall.ENOEXEC, syscall.ENOTDIR, syscall.EINVAL, syscall.E2BIG, syscall.ELOOP,
	} {
		if Is(err) {
			t.Errorf("%v is a fault of the host", err)
		}
	}
}
