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

// ErrDraining is the Result.Err of a command that was rejected because Drain was called.
var ErrDraining = errors.New("refused, shutting down")

// failure is an error with a text short enough for a status line. It wraps its causes.
type failure struct {
	text   string
	causes []error
}

func (f *failure) Error() string   { return f.text }
func (f *failure) Unwrap() []error { return f.causes }

func newFailure(text string, causes ...error) error { return &failure{text, causes} }

// errNotStarted returns the error of a command that the host had no resources to start.
func errNotStarted(err error) error {
	if hostfault.Is(err) {
		return hostfault.New("cannot start: "+err.Error(), err)
	}
	return fmt.Errorf("cannot start: %w", err)
}

// errExecHung is the error of a command whose executable did not start to run, because the file system
// of the executable or of its interpreter does not respond.
var errExecHung = hostfault.New("cannot read the executable: its file system does not respond")

func errTimedOut(after time.Duration) error {
	return newFailure("did not return within "+after.String(), context.DeadlineExceeded)
}

func errCancelled(ctx context.Context) error {
	return newFailure("cancelled", ctx.Err(), context.Cause(ctx))
}

// errEnded returns an error that describes how a command exited by itself, nil for exit 0. short
// means that it ran out of memory.
func errEnded(status syscall.WaitStatus, short bool) error {
	switch {
	case short && status != 0:
		return newFailure("out of memory", errEnded(status, false))
	case status.Signaled():
		if name := unix.SignalName(status.Signal()); name != "" {
			return newFailure("killed by " + name)
		}
		return newFailure(fmt.Sprintf("killed by signal %d", status.Signal()))
	case status.ExitStatus() != 0:
		return newFailure(fmt.Sprintf("exit %d", status.ExitStatus()))
	default:
		return nil
	}
}

// errStart returns an error that says why a command could not be started. The error of the system
// does not say which file it is about, so errStart checks the files again.
func errStart(c Command, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		if _, statErr := os.Stat(c.Path); statErr != nil {
			return newFailure("executable missing", fs.ErrNotExist, err)
		}
		if _, statErr := os.Stat(c.Dir); statErr != nil {
			return newFailure("working directory missing", err)
		}
		return newFailure("interpreter missing", err)
	case errors.Is(err, fs.ErrPermission):
		if info, statErr := os.Stat(c.Path); statErr == nil && info.IsDir() {
			return newFailure("executable is a folder", syscall.EISDIR, err)
		} else if statErr == nil {
			return newFailure(notExecutable(c.Path, info.Mode()), err)
		}
		return newFailure("not executable", err)
	case errors.Is(err, syscall.ENOEXEC):
		return newFailure("not an executable format", err)
	case errors.Is(err, syscall.ETXTBSY):
		return hostfault.New("executable is open for writing", err)
	default:
		return errNotStarted(err)
	}
}

// notExecutable returns why the system does not execute a file of that mode.
func notExecutable(path string, mode fs.FileMode) string {
	var st unix.Statfs_t
	switch {
	case unix.Statfs(path, &st) == nil && st.Flags&unix.ST_NOEXEC != 0:
		return "not executable: its file system is mounted noexec (mount -o remount,exec)"
	case mode&0o111 == 0:
		return "not executable"
	default:
		return fmt.Sprintf("not executable (mode %04o): check its interpreter, the folders above it and the security policy", mode.Perm())
	}
}
