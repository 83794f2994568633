package hostfault

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

// EV-24: what the host could not do is told from what is wrong with a plugin.
func TestIs(t *testing.T) {
	for _, errno := range []syscall.Errno{
		syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ENOSPC, syscall.EIO, syscall.EROFS, syscall.ETXTBSY,
		syscall.ESTALE, syscall.ENOLCK,
	} {
		if err := fmt.Errorf("open pipe: %w", errno); !Is(err) {
			t.Errorf("%v is the plugin's fault", err)
		}
	}
	if err := New("no room", fs.ErrExist); !Is(fmt.Errorf("start: %w", err)) || !errors.Is(err, fs.ErrExist) || err.Error() != "no room" {
		t.Errorf("%v is the plugin's fault", err)
	}
	for _, err := range []error{
		nil, errors.New("exit 3"), fs.ErrNotExist,
		syscall.ENOENT, syscall.EACCES, syscall.ENOEXEC, syscall.ENOTDIR, syscall.EINVAL, syscall.E2BIG, syscall.ELOOP,
	} {
		if Is(err) {
			t.Errorf("%v is the host's fault", err)
		}
	}
}
