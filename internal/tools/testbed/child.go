package testbed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// SettleWithin is the limit of the first runs.
const SettleWithin = 2 * time.Minute

// Child is a running program: the supervisor or the control plane.
type Child struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has exited
}

// Spawn starts a program in a process group of its own, so that Ctrl-C does not
// reach it and everything is stopped in order.
func Spawn(program, log string, args ...string) (*Child, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer out.Close()
	c := &Child{cmd: exec.Command(program, args...), log: log, done: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = out, out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	for _, kv := range os.Environ() {
		// These are settings of another supervisor.
		if !strings.HasPrefix(kv, "SUPERVISOR_") && !strings.HasPrefix(kv, "CONTROLPLANE_") {
			c.cmd.Env = append(c.cmd.Env, kv)
		}
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(program), err)
	}
	go func() {
		_ = c.cmd.Wait() // the result is in ProcessState
		close(c.done)
	}()
	return c, nil
}

// PID returns the pid of the child.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// ExitCode returns the exit code of the child; -1 if it was killed or still runs.
func (c *Child) ExitCode() int { return c.cmd.ProcessState.ExitCode() }

// Pass waits for d. It returns an error if the child exits or ctx ends
// meanwhile.
func (c *Child) Pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.done:
		output, err := os.ReadFile(c.log)
		return errors.Join(fmt.Errorf("%s exited: %v\n%s", filepath.Base(c.cmd.Path), c.cmd.ProcessState, output), err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Stop sends SIGTERM to the child, and kills it if it does not exit in time.
func (c *Child) Stop() error {
	const timeout = 15 * time.Second // the supervisor needs at most 10 (EV-16)
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-c.done:
		return nil
	case <-timer.C:
	}
	_ = c.cmd.Process.Kill()
	<-c.done
	return fmt.Errorf("%s did not stop in time and was killed", filepath.Base(c.cmd.Path))
}

// StartControlPlane starts the control plane on a free port, and waits until it listens.
func StartControlPlane(ctx context.Context, bin, root string) (_ *Child, url string, err error) {
	file := filepath.Join(root, "controlplane.address")
	c, err := Spawn(filepath.Join(bin, "controlplane"), filepath.Join(root, "controlplane.log"),
		"serve", "--listen", "127.0.0.1:0", "--address-file", file, "--database", filepath.Join(root, "controlplane.db"))
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, SettleWithin)
	defer cancel()
	for {
		address, err := os.ReadFile(file)
		if err == nil {
			return c, "http://" + strings.TrimSpace(string(address)), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, "", fmt.Errorf("read address: %w", err)
		}
		if err := c.Pass(ctx, 50*time.Millisecond); err != nil {
			return nil, "", fmt.Errorf("wait for control plane: %w", err)
		}
	}
}

// Kill kills the child with SIGKILL and waits for it.
func (c *Child) Kill() {
	_ = c.cmd.Process.Kill()
	<-c.done
}
