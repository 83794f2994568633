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

// HeldError says that another process holds a lock that was not waited for.
type HeldError struct {
	Path string
	PID  int // of the holder, as it wrote into the file; 0 when it did not
}

func (e *HeldError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is locked by another process", e.Path)
	}
	return fmt.Sprintf("%s is locked by process %d", e.Path, e.PID)
}

// TryExclusive takes the lock at path without waiting and writes this
// process's pid into it, so that the one who comes second can say who was
// first (EV-15): that one gets a *HeldError. release lets go and may be called
// more than once.
//
// The lock of a process that was killed may outlive it for a moment, in a child
// that was just being forked: as long as the holder is dead, it is waited for, at
// most two seconds.
func TryExclusive(path string) (release func(), err error) {
	f, err := tryAfterDead(path, func() (*os.File, error) { return try(path, true, nil) })
	if held := (*HeldError)(nil); errors.As(err, &held) {
		return nil, held
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := write(f); err != nil {
		_ = ReleaseFile(f)
		return nil, fmt.Errorf("lock %s: write pid: %w", path, err)
	}
	return func() { releaseNamed(f) }, nil
}

// tryAfterDead takes a lock. One that a dead process holds is waited for. path is
// that of the file that names the holder.
func tryAfterDead(path string, try func() (*os.File, error)) (*os.File, error) {
	f, err := try()
	for over := time.Now().Add(diesWithin); errors.Is(err, ErrHeld); f, err = try() {
		if pid := holder(path); pid == 0 || lives(pid) || time.Now().After(over) {
			return nil, &HeldError{Path: path, PID: pid}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return f, err
}

// releaseNamed releases a file that holds our pid.
func releaseNamed(f *os.File) {
	f.Truncate(0) // nobody is named who does not hold it; fails once released
	_ = ReleaseFile(f)
}

const diesWithin = 2 * time.Second

// lives tells whether a process runs; a zombie has let go of all it held.
func lives(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ESRCH)
	}
	i := bytes.LastIndexByte(b, ')')
	return i < 0 || i+2 >= len(b) || !bytes.ContainsAny(b[i+2:i+3], "ZX")
}

func write(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder reads the pid in a lock file. The holder may just be about to write
// it: an empty file is read again for a moment.
func holder(path string) int {
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
