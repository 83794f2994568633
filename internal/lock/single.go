package lock

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// HeldError means that another process holds the lock.
type HeldError struct {
	Path string
	PID  int // of the holder, from the file; 0 if it is not there
}

func (e *HeldError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is locked by another process", e.Path)
	}
	return fmt.Sprintf("%s is locked by process %d", e.Path, e.PID)
}

// TryExclusive takes the lock at path without waiting and writes this process's pid to
// it. If another process holds it, the error is a *HeldError with that one's pid
// (EV-15). release releases the lock and may be called more than once.
//
// The lock of a process that was killed may outlive it for a moment, in a child that
// was just being forked: TryExclusive waits up to two seconds while the holder is dead.
func TryExclusive(path string) (release func(), err error) {
	f, err := tryAfterDead(path, func() (*os.File, error) { return tryPath(path, true, nil) })
	if held := (*HeldError)(nil); errors.As(err, &held) {
		return nil, held
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := writePID(f); err != nil {
		_ = ReleaseFile(f)
		return nil, fmt.Errorf("lock %s: write pid: %w", path, err)
	}
	return func() { releaseNamed(f) }, nil
}

// tryAfterDead calls try until the lock is free, while the holder is dead. path is the
// file that names the holder.
func tryAfterDead(path string, try func() (*os.File, error)) (*os.File, error) {
	f, err := try()
	for deadline := time.Now().Add(deathTimeout); errors.Is(err, ErrHeld); f, err = try() {
		if pid := readHolder(path); pid == 0 || isRunning(pid) || time.Now().After(deadline) {
			return nil, &HeldError{Path: path, PID: pid}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return f, err
}

// releaseNamed releases a lock file with our pid in it.
func releaseNamed(f *os.File) {
	f.Truncate(0) // removes the pid; fails once released
	_ = ReleaseFile(f)
}

const deathTimeout = 2 * time.Second

// isRunning reports whether a process runs. A zombie does not: its locks are released.
func isRunning(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ESRCH)
	}
	i := bytes.LastIndexByte(b, ')')
	return i < 0 || i+2 >= len(b) || !bytes.ContainsAny(b[i+2:i+3], "ZX")
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// readHolder returns the pid in a lock file. The holder may not have written it yet: an
// empty file is read again for a moment.
func readHolder(path string) int {
	for range 20 {
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			return 0
		}
		b, err := io.ReadAll(io.LimitReader(f, 32))
		f.Close()
		if err != nil {
			return 0
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && pid > 0 {
			return pid
		}
		time.Sleep(5 * time.Millisecond)
	}
	return 0
}
