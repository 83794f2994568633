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

// fork is one process that is being started. Its descriptors are copies of its
// own, so that it may outlast the command that it is for.
type fork struct {
	start vfork.Start
	mu    sync.Mutex // held while the process is killed or reaped
}

// newFork prepares the start of a command, with out as its standard output.
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
	inherited := inheritance()
	f := &fork{start: vfork.Start{
		Path: text(c.Path), Dir: text(c.Dir), Args: list(append([]string{c.Path}, c.Args...)),
		Env:     list(environment(c)),
		Ignored: inherited.ignored, Renice: inherited.nice, ResetOOM: inherited.oom,
	}}
	if failed != nil {
		return nil, syscall.EINVAL
	}
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/null: %w", err)
	}
	output, err := unix.FcntlInt(out, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("copy output: %w", err), unix.Close(null))
	}
	f.start.Stdin, f.start.Output = null, output
	return f, nil
}

// environment returns the variables that the command gets: none of those that
// systemd sets for us alone (EV-30).
func environment(c Command) []string {
	ours := sdnotify.Variables()
	return slices.DeleteFunc((&exec.Cmd{Env: c.Env, Dir: c.Dir}).Environ(), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return slices.Contains(ours, key)
	})
}

func (f *fork) close() {
	_ = unix.Close(f.start.Stdin)
	_ = unix.Close(f.start.Output)
}

// run starts the process in a cgroup, in our own if the descriptor is negative.
func (f *fork) run(cgroup int) (pid int, err error) {
	f.start.Cgroup = cgroup
	pid, errno := f.start.Run()
	if errno == 0 {
		return pid, nil
	}
	if pid > 0 { // it could not be executed, and has exited
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

// kill kills the process before its executable runs.
func (f *fork) kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if pid := f.start.PID(); pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}
