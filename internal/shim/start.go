package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/logfile"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/internal/service"
)

// start starts the program, unless it runs and is healthy, and returns when it is
// ready (AP-01).
func (s *shim) start(ctx context.Context) error {
	release, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := s.asAccount(); err != nil {
		return err
	}
	main, err := s.findMain()
	if err != nil {
		return err
	}
	if main != nil {
		failed := s.checkHealth(ctx)
		if failed == nil {
			return nil
		}
		writeLines(s.err, fmt.Sprintf("process %d runs and is not healthy, it is stopped first: %v", main.id.PID, failed))
	}
	if err := s.end(ctx, s.service.Stop.Timeout); err != nil { // also what a killed program left: nothing runs twice
		return err
	}
	return s.launch(ctx)
}

// settle is how long a program has to go on running after it became ready, where
// its address answered before it was started.
const settle = time.Second

// launch starts the program and waits until it is ready. Otherwise nothing of it
// is left running.
func (s *shim) launch(ctx context.Context) error {
	s.noteLimits()
	answered := s.answersAlready(ctx)
	output, err := s.openOutput()
	if err != nil {
		return err
	}
	defer output.close()
	c, err := s.spawn(ctx, output)
	if err == nil {
		err = s.waitReady(ctx, c)
		if err == nil && answered {
			err = s.waitAlive(ctx, c, settle)
		}
		if err != nil && answered {
			err = fmt.Errorf("%w (%v answered before the program was started: is its port taken?)", err, s.service.Ready.Check)
		}
	}
	if err == nil {
		return nil
	}
	if line := lastLine(output.tail()); line != "" {
		err = fmt.Errorf("%w; it printed last: %s", err, line)
	}
	if text := output.tail(); output.isOwn && strings.Contains(strings.TrimSpace(text), "\n") {
		fmt.Fprintln(s.err, strings.TrimRight(text, "\n"))
	}
	if errors.Is(err, errNotStarted) {
		return err
	}
	grace := s.service.Stop.Timeout
	if ctx.Err() != nil { // the caller waits no longer
		grace = 0
	}
	return errors.Join(err, s.end(context.WithoutCancel(ctx), grace))
}

// answersAlready reports whether the address by which the program will be ready
// answers before it is started.
func (s *shim) answersAlready(ctx context.Context) bool {
	c := s.service.Ready.Check
	return c.IsSet() && len(c.Command) == 0 && c.Run(ctx, 250*time.Millisecond, nil) == nil
}

// noteLimits says where limits have no effect: the supervisor sets them on a
// cgroup that the shim is started in.
func (s *shim) noteLimits() {
	if s.service.Limits == (service.Limits{}) {
		return
	}
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil || !strings.Contains(string(b), "/supervisor-") {
		writeLines(s.err, "limits are not enforced: only the supervisor sets them")
	}
}

// output is where the program prints to.
type output struct {
	out, err *os.File
	log      *os.File // of which the end is shown; nil: none
	from     int64    // where this run begins in it
	isOwn    bool     // the caller does not have it already
}

// openOutput returns what the shim was given, where that is a regular file, else
// the program's own log. One that cannot be opened does not prevent the start.
func (s *shim) openOutput() (*output, error) {
	o := &output{out: s.out, err: s.err, log: s.out}
	if !isRegular(s.out) || !isRegular(s.err) {
		own, err := logfile.Open(layout.ServiceLog(s.dir))
		if err != nil {
			writeLines(s.err, "output is not logged: "+err.Error())
			if own, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0); err != nil {
				return nil, err
			}
		}
		if !isRegular(s.out) {
			o.out, o.log, o.isOwn = own, own, true
		}
		if !isRegular(s.err) {
			o.err = own
		}
		if _, err := s.limit().Bound(own); err != nil {
			s.boundLog()
		}
	}
	end, err := logfile.End(o.log)
	if err != nil {
		o.log = nil
	}
	o.from = end
	return o, nil
}

func (o *output) close() {
	if o.isOwn {
		o.out.Close()
	}
}

// tail returns the end of what was printed since the start.
func (o *output) tail() string {
	if o.log == nil {
		return ""
	}
	text, _ := logfile.TailFrom(o.log, o.from, 4<<10)
	return text
}

func isRegular(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// child is the program that was started.
type child struct {
	pid    int
	exited chan struct{} // closed when it has
	state  *os.ProcessState
}

// errNotStarted is beneath the error of a program that did not begin to run.
var errNotStarted = errors.New("cannot start")

// spawn starts the program. It returns when the program's first instruction is next,
// or with the reason why it cannot run.
func (s *shim) spawn(ctx context.Context, o *output) (*child, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p, err := os.StartProcess(s.self, []string{s.self, launchWord}, &os.ProcAttr{
		Dir: "/", Env: s.environment(), Files: []*os.File{null, o.out, o.err, w}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	w.Close()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotStarted, err)
	}
	c := &child{pid: p.Pid, exited: make(chan struct{})}
	go func() {
		defer close(c.exited)
		c.state, _ = p.Wait()
	}()
	if deadline, ok := ctx.Deadline(); ok {
		_ = r.SetReadDeadline(deadline)
	}
	said, err := io.ReadAll(io.LimitReader(r, 8<<10)) // its end is closed by execve
	if err != nil {
		_ = p.Kill()
		return nil, fmt.Errorf("%w: %s: its file system does not answer", errNotStarted, s.service.Command[0])
	}
	var failed error
	for line := range strings.Lines(string(said)) {
		if why, ok := strings.CutPrefix(strings.TrimSpace(line), failedWord); ok {
			failed = fmt.Errorf("%w: %s", errNotStarted, why)
			continue
		}
		writeLines(s.err, line)
	}
	if failed != nil {
		<-c.exited
		_ = os.Remove(layout.Run(s.dir))
		return nil, failed
	}
	return c, nil
}

// firstTry and lastTry are the pauses between checks whether the program is ready.
const (
	firstTry = 10 * time.Millisecond
	lastTry  = 250 * time.Millisecond
	oneTry   = 5 * time.Second // longest time of one
)

// waitReady waits until the program is ready. The error says why it is not.
func (s *shim) waitReady(ctx context.Context, c *child) error {
	ready := s.service.Ready
	if !ready.IsSet() {
		return s.waitAlive(ctx, c, ready.After)
	}
	waiting, cancel := context.WithTimeout(ctx, max(0, min(ready.Timeout, time.Until(s.deadline)-killTime)))
	defer cancel()
	began := time.Now()
	var last error
	for pauses := pause.NewDoubling(firstTry, lastTry); ; {
		if err := s.checkAlive(c); err != nil {
			return err
		}
		err := ready.Run(waiting, oneTry, s.runCheck)
		if err == nil {
			return s.checkAlive(c)
		}
		if last == nil || waiting.Err() == nil {
			last = err
		}
		next := time.NewTimer(pauses.Next())
		select {
		case <-waiting.Done():
			return notReady(ctx, time.Since(began), last)
		case <-c.exited:
			next.Reset(lastTry) // what it put in the background is looked at again, not at once
			select {
			case <-next.C:
			case <-waiting.Done():
				return notReady(ctx, time.Since(began), last)
			}
		case <-next.C:
		}
	}
}

func notReady(ctx context.Context, after time.Duration, last error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted before the program was ready: %w", last)
	}
	return fmt.Errorf("not ready within %v: %w", after.Round(10*time.Millisecond), last)
}

// waitAlive waits for so long, in which the program must not exit.
func (s *shim) waitAlive(ctx context.Context, c *child, d time.Duration) error {
	next := time.NewTimer(d)
	defer next.Stop()
	select {
	case <-next.C:
	case <-c.exited:
		if err := s.checkAlive(c); err != nil {
			return err
		}
		select { // it went to the background
		case <-next.C:
		case <-ctx.Done():
		}
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return errors.New("interrupted before the program was ready")
	}
	return s.checkAlive(c)
}

// checkAlive returns nil if the program runs. One that put itself in the
// background is recorded under its new process.
func (s *shim) checkAlive(c *child) error {
	select {
	case <-c.exited:
	default:
		if stat, err := procfs.ReadStat(c.pid); err == nil && stat.Live() {
			return nil
		}
		<-c.exited
	}
	r, err := s.find()
	if err != nil {
		return err
	}
	if r.main == nil { // it may have stayed in its session
		r.main = s.program(r.tree, func(proc) bool { return true })
	}
	if r.main != nil {
		_ = service.WriteRun(s.dir, r.main.id) // else it is found as now
		return nil
	}
	how := "exited"
	if status, ok := c.state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		how = "was killed by " + unix.SignalName(status.Signal())
	} else if ok {
		how = fmt.Sprintf("exited with status %d", status.ExitStatus())
	}
	return fmt.Errorf("%s %s before it was ready", s.service.Command[0], how)
}
