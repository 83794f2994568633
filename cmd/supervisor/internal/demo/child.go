package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// child is a program of the demo: the supervisor or the control plane.
type child struct {
	name   string
	cmd    *exec.Cmd
	exited chan struct{} // closed when the program has exited
}

// spawnChild starts a program in its own process group: Ctrl-C reaches only the demo,
// which then stops everything in order. The output goes to the log file.
func spawnChild(name, program, log string, args ...string) (*child, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", name, err)
	}
	defer out.Close()
	c := &child{name: name, cmd: exec.Command(program, args...), exited: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = out, out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.Env = cleanEnvironment()
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = c.cmd.Wait() // ProcessState has the exit status
		close(c.exited)
	}()
	return c, nil
}

// cleanEnvironment returns the environment without settings of another supervisor.
func cleanEnvironment() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "SUPERVISOR_") && !strings.HasPrefix(e, "CONTROLPLANE_") {
			env = append(env, e)
		}
	}
	return env
}

// exitError returns an error with the exit status of the child, nil while it runs.
func (c *child) exitError() error {
	select {
	case <-c.exited:
		return fmt.Errorf("%s exited unexpectedly: %v", c.name, c.cmd.ProcessState)
	default:
		return nil
	}
}

// stopProcess sends SIGTERM to the child, and kills it after 15 s.
func (c *child) stopProcess(ctx context.Context) error {
	if c == nil || c.exitError() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second) // the supervisor drains within 10 s
	defer cancel()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", c.name, err)
	}
	select {
	case <-c.exited:
		if !c.cmd.ProcessState.Success() {
			return fmt.Errorf("%s after SIGTERM: %v", c.name, c.cmd.ProcessState)
		}
		return nil
	case <-ctx.Done():
		_ = c.cmd.Process.Kill()
		<-c.exited
		return fmt.Errorf("%s did not exit within 15s of SIGTERM and was killed", c.name)
	}
}
