package shim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// command is the command of a check or a hook.
type command struct {
	path string
	args []string
	dir  string
	out  *os.File // nil: the error has the last line of the output
	err  *os.File
}

// lingerTime is the time that a pipe is read after the command has exited, while another
// process holds it open.
const lingerTime = 100 * time.Millisecond

// runCommand runs a command in its own process group. When the command exits, or ctx is
// done, it kills the group. The status is -1 unless the command exited by itself.
func (s *shim) runCommand(ctx context.Context, c command) (status int, err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return -1, err
	}
	defer null.Close()
	printed := &tailBuffer{}
	var r *os.File
	if c.out == nil {
		var w *os.File
		if r, w, err = os.Pipe(); err != nil {
			return -1, err
		}
		defer r.Close()
		defer w.Close()
		c.out, c.err = w, w
	}
	p, err := os.StartProcess(c.path, append([]string{c.path}, c.args...), &os.ProcAttr{
		Dir: c.dir, Env: append(s.buildEnvironment(), checkVariable+"=1"), Files: []*os.File{null, c.out, c.err}, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return -1, s.explain(c.path, err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		if r != nil {
			c.out.Close()
			_, _ = io.Copy(printed, r)
		}
	}()
	exited := make(chan struct{})
	go func() { // the zombie stays, so that the id of its group cannot be reused
		defer close(exited)
		for unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
	}()
	select {
	case <-exited:
	case <-ctx.Done():
	}
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
	<-exited
	state, err := p.Wait()
	if r != nil {
		_ = r.SetReadDeadline(time.Now().Add(lingerTime))
	}
	<-read
	switch {
	case err != nil:
		return -1, err
	case ctx.Err() != nil:
		return -1, errors.New("did not exit in time")
	case state.Success():
		return 0, nil
	}
	how := fmt.Sprintf("exit %d", state.ExitCode())
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		how = "killed by " + unix.SignalName(status.Signal())
	}
	if line := lastLine(string(printed.text)); line != "" {
		how += ": " + line
	}
	return state.ExitCode(), errors.New(how)
}

// tailBuffer keeps the last tailSize bytes that are written to it.
type tailBuffer struct{ text []byte }

const tailSize = 4 << 10

// Write implements io.Writer.
func (t *tailBuffer) Write(b []byte) (int, error) {
	t.text = append(t.text, b...)
	if extra := len(t.text) - tailSize; extra > 0 {
		t.text = bytes.Clone(t.text[extra:])
	}
	return len(b), nil
}
