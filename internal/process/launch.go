package process

import (
	"context"
	"errors"
	"path/filepath"
	"syscall"
	"time"
)

// errNoTracker is returned by Launch without a Tracker that reaps what is left running.
var errNoTracker = errors.New("processes are not tracked")

// Launched is a program that Launch has started. Leave or Stop has to be called once.
type Launched struct {
	runner *Runner
	child  *child
	out    sink
	began  time.Time
}

// Launch starts a plugin's program that is to go on running, and returns when it executes: one fork
// and one exec. Until Leave or Stop, it counts as a command that may leave a daemon: its exit is no
// exit of the plugin. It needs a Tracker that reaps (Subreap). Timeout limits the execution only.
func (r *Runner) Launch(ctx context.Context, c Command) (*Launched, error) {
	if !r.tracker.isReaping() || c.Plugin == "" {
		return nil, errNoTracker
	}
	if !filepath.IsAbs(c.Path) {
		return nil, syscall.EINVAL
	}
	if !r.beginCommand() {
		return nil, ErrDraining
	}
	began := time.Now()
	if c.Dir == "" {
		c.Dir = "/"
	}
	c.Daemon, c.launched = true, true
	out, err := r.openSink(c)
	if err != nil {
		r.endCommand()
		return nil, errNotStarted(err)
	}
	scope := r.tracker.beginScope(c)
	cut, cancel := ctx, context.CancelFunc(func() {})
	if c.Timeout > 0 {
		cut, cancel = context.WithTimeout(ctx, c.Timeout)
	}
	defer cancel()
	p, err := startCommand(cut.Done(), c, scope, out.fd())
	if err != nil {
		scope.endScope()
		out.closeAndRead()
		r.endCommand()
		if ctx.Err() != nil {
			return nil, errCancelled(ctx)
		}
		return nil, errStart(c, err)
	}
	out.childStarted()
	return &Launched{runner: r, child: p, out: out, began: began}, nil
}

// Exited returns a channel that is closed when the program has exited.
func (l *Launched) Exited() <-chan struct{} { return l.child.exited }

// PID returns the process ID of the program.
func (l *Launched) PID() int { return l.child.pid }

// Leave leaves the program running, or what it has left if it has exited. From now on the exit of
// the last process is an exit of the plugin.
func (l *Launched) Leave() Result {
	res := Result{ExitCode: -1}
	close(l.child.left)
	if l.child.hasExited() {
		status, err := l.child.reapStatus()
		res.addStatus(status, err)
	} else {
		l.child.scope.removeCommand(l.child.pid)
	}
	return l.end(res)
}

// Stop stops all processes of the program: by sig, after the grace by SIGKILL.
func (l *Launched) Stop(sig syscall.Signal, grace time.Duration) Result {
	res := Result{ExitCode: -1}
	status, err := l.runner.endTree(l.child, sig, grace)
	res.addStatus(status, err)
	return l.end(res)
}

// addStatus adds how the program exited.
func (r *Result) addStatus(status syscall.WaitStatus, err error) {
	switch {
	case err != nil:
		r.Err = err
	case status.Signaled():
		r.Signal, r.Err = status.Signal(), errEnded(status, false)
	default:
		r.ExitCode, r.Err = status.ExitStatus(), errEnded(status, false)
	}
}

// end ends the command and returns its result.
func (l *Launched) end(res Result) Result {
	defer l.runner.endCommand()
	res.Started = true
	res.RunID, res.Processes = l.child.scope.endScope()
	res.Output = l.out.closeAndRead()
	res.Took = time.Since(l.began)
	return res
}
