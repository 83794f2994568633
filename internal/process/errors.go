package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/hostfault"
)

// ErrDraining is the Result.Err of a command refused because Drain was called.
var ErrDraining = errors.New("refused, shutting down")

// failure is an error with a text short enough for a status line, and the
// causes beneath it.
type failure struct {
	text   string
	causes []error
}

func (f *failure) Error() string   { return f.text }
func (f *failure) Unwrap() []error { return f.causes }

func fail(text string, causes ...error) error { return &failure{text, causes} }

// errNotStarted is the error of a command for which the host had no room.
func errNotStarted(err error) error {
	if hostfault.Is(err) {
		return hostfault.New("cannot start: "+err.Error(), err)
	}
	return fmt.Errorf("cannot start: %w", err)
}

// errHung is the error of a command whose executable did not begin to run: the
// file system that it, or its interpreter, is on does not answer.
var errHung = hostfault.New("executable cannot be read, its file system does not answer")

func errTimedOut(after time.Duration) error {
	return fail("no end in "+after.String(), context.DeadlineExceeded)
}

func errCancelled(ctx context.Context) error {
	return fail("cancelled", ctx.Err(), context.Cause(ctx))
}

// errEnded says how a command ended by itself; nil for exit 0. Short is true
// if memory was wanting.
func errEnded(status syscall.WaitStatus, short bool) error {
	switch {
	case short && status != 0:
		return fail("out of memory", errEnded(status, false))
	case status.Signaled():
		if name := unix.SignalName(status.Signal()); name != "" {
			return fail("killed by " + name)
		}
		return fail(fmt.Sprintf("killed by signal %d", status.Signal()))
	case status.ExitStatus() != 0:
		return fail(fmt.Sprintf("exit %d", status.ExitStatus()))
	default:
		return nil
	}
}

// errStart says why a command could not be started. The system names neither
// the file it means nor a folder as such, so they are looked at again.
func errStart(c Command, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		if _, statErr := os.Stat(c.Path); statErr != nil {
			return fail("executable missing", fs.ErrNotExist, err)
		}
		if _, statErr := os.Stat(c.Dir); statErr != nil {
			return fail("working directory missing", err)
		}
		return fail("interpreter missing", err)
	case errors.Is(err, fs.ErrPermission):
		if info, statErr := os.Stat(c.Path); statErr == nil && info.IsDir() {
			return fail("executable is a folder", syscall.EISDIR, err)
		} else if statErr == nil {
			return fail(notExecutable(c.Path, info.Mode()), err)
		}
		return fail("not executable", err)
	case errors.Is(err, syscall.ENOEXEC):
		return fail("not an executable format", err)
	case errors.Is(err, syscall.ETXTBSY):
		return hostfault.New("executable is being written", err)
	default:
		return errNotStarted(err)
	}
}

// notExecutable says why the system refuses to execute a file of that mode.
func notExecutable(path string, mode fs.FileMode) string {
	var st unix.Statfs_t
	switch {
	case unix.Statfs(path, &st) == nil && st.Flags&unix.ST_NOEXEC != 0:
		return "not executable: its file system is mounted noexec (mount -o remount,exec)"
	case mode&0o111 == 0:
		return "not executable"
	default:
		return fmt.Sprintf("not executable (mode %04o): its interpreter, a folder above it or a security policy refuses", mode.Perm())
	}
}
