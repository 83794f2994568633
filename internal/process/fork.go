package process

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/sdnotify"
	"pluginsupervisor/internal/vfork"
)

// fork is one process that is being started. It has its own copies of the descriptors, because it
// may outlive the command that it was started for.
type fork struct {
	start vfork.Start
	mu    sync.Mutex // held while the process is killed or reaped
}

// newFork prepares to start a command with out as its standard output.
func newFork(c Command, out uintptr) (*fork, error) {
	var failed error
	text := func(s string) *byte {
		p, err := syscall.BytePtrFromString(s)
		failed = errors.Join(failed, err)
		return p
	}
	list := func(all []string) **byte {
		ps := make([]*byte, 0, len(all)+1)
		for _, s := range all {
			ps = append(ps, text(s))
		}
		return &append(ps, nil)[0]
	}
	inherited := readInherited()
	f := &fork{start: vfork.Start{
		Path: text(c.Path), Dir: text(c.Dir), Args: list(append([]string{c.Path}, c.Args...)),
		Env:     list(commandEnv(c)),
		Ignored: inherited.ignored, Renice: inherited.nice, ResetOOM: inherited.oom,
	}}
	if failed != nil {
		return nil, syscall.EINVAL
	}
	if err := f.openStreams(c.Streams, out); err != nil {
		f.closeStreams()
		return nil, err
	}
	return f, nil
}

// openStreams opens the standard streams of the process: copies of the given ones, or else
// /dev/null and out.
func (f *fork) openStreams(given *Streams, out uintptr) (err error) {
	f.start.Stdin, f.start.Output, f.start.Errors = -1, -1, -1
	failures := out
	if given == nil {
		if f.start.Stdin, err = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("open /dev/null: %w", err)
		}
	} else {
		failures, f.start.Foreground = given.Err.Fd(), given.Foreground
		if f.start.Stdin, err = copyDescriptor(given.In.Fd()); err != nil {
			return fmt.Errorf("copy standard input: %w", err)
		}
	}
	if f.start.Output, err = copyDescriptor(out); err != nil {
		return fmt.Errorf("copy standard output: %w", err)
	}
	if f.start.Errors, err = copyDescriptor(failures); err != nil {
		return fmt.Errorf("copy standard error: %w", err)
	}
	return nil
}

func copyDescriptor(fd uintptr) (int, error) { return unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3) }

// commandEnv returns the environment of the command, without the variables that systemd sets for
// this process only (EV-30).
func commandEnv(c Command) []string {
	ours := sdnotify.Variables()
	return slices.DeleteFunc((&exec.Cmd{Env: c.Env, Dir: c.Dir}).Environ(), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return slices.Contains(ours, key)
	})
}

func (f *fork) closeStreams() {
	for _, fd := range []int{f.start.Stdin, f.start.Output, f.start.Errors} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// runIn starts the process in the given cgroup, in our own if the descriptor is negative.
func (f *fork) runIn(cgroup int) (pid int, err error) {
	f.start.Cgroup = cgroup
	pid, errno := f.start.Run()
	if errno == 0 {
		return pid, nil
	}
	if pid > 0 { // execve failed and the process has exited
		f.mu.Lock()
		defer f.mu.Unlock()
		_ = ignoringEINTR(func() error {
			_, err := syscall.Wait4(pid, nil, 0, nil)
			return err
		})
		f.start.Reset()
	}
	return 0, syscall.Errno(errno)
}

// killBeforeExec kills the process before its executable runs.
func (f *fork) killBeforeExec() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if pid := f.start.PID(); pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}
