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

// Child is a built program that is run: the supervisor or the control plane.
type Child struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// Spawn starts a program in a process group of its own, so that Ctrl-C reaches
// us alone and everything is ended in order.
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
		// The settings of another supervisor are not meant for this one.
		if !strings.HasPrefix(kv, "SUPERVISOR_") && !strings.HasPrefix(kv, "CONTROLPLANE_") {
			c.cmd.Env = append(c.cmd.Env, kv)
		}
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(program), err)
	}
	go func() {
		_ = c.cmd.Wait() // how it ended is in ProcessState
		close(c.done)
	}()
	return c, nil
}

// PID is that of its process.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// ExitCode is that of its end; -1 if it was killed or still runs.
func (c *Child) ExitCode() int { return c.cmd.ProcessState.ExitCode() }

// Pass lets time pass. The error says that ctx or the child ended meanwhile.
func (c *Child) Pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.done:
		said, err := os.ReadFile(c.log)
		return errors.Join(fmt.Errorf("%s ended: %v\n%s", filepath.Base(c.cmd.Path), c.cmd.ProcessState, said), err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Stop asks the child to end, and makes it if it does not.
func (c *Child) Stop() error {
	const drains = 15 * time.Second // the supervisor promises 10
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(drains)
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

// Kill ends the child at once, with no warning.
func (c *Child) Kill() {
	_ = c.cmd.Process.Kill()
	<-c.done
}
