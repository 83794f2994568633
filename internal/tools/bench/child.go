package main

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

// child is a built program that is run: the supervisor or the control plane.
type child struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// spawn starts a program in a process group of its own, so that Ctrl-C reaches
// us alone and everything is ended in order.
func spawn(program, log string, args ...string) (*child, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	defer out.Close()
	c := &child{cmd: exec.Command(program, args...), log: log, done: make(chan struct{})}
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

func (c *child) pid() int { return c.cmd.Process.Pid }

// pass lets time pass. The error says that ctx or the child ended meanwhile.
func (c *child) pass(ctx context.Context, d time.Duration) error {
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

// stop asks the child to end, and makes it if it does not.
func (c *child) stop() error {
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
	return fmt.Errorf("%s did not end when told to and was killed", filepath.Base(c.cmd.Path))
}

// startControlPlane starts the control plane on a free port, and waits until it listens.
func startControlPlane(ctx context.Context, bin, root string) (_ *child, url string, err error) {
	file := filepath.Join(root, "controlplane.address")
	c, err := spawn(filepath.Join(bin, "controlplane"), filepath.Join(root, "controlplane.log"),
		"serve", "--listen", "127.0.0.1:0", "--address-file", file, "--database", filepath.Join(root, "controlplane.db"))
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	for {
		address, err := os.ReadFile(file)
		if err == nil {
			return c, "http://" + strings.TrimSpace(string(address)), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, "", fmt.Errorf("read address: %w", err)
		}
		if err := c.pass(ctx, 50*time.Millisecond); err != nil {
			return nil, "", fmt.Errorf("wait for control plane: %w", err)
		}
	}
}
