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

// startProgram starts the program unless it runs and is healthy, and waits until it is
// ready (AP-01).
func (s *shim) startProgram(ctx context.Context) error {
	release, err := s.lockFolder(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := s.loadAccount(); err != nil {
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
		writeLines(s.err, fmt.Sprintf("process %d runs but is not healthy, stopping it first: %v", main.id.PID, failed))
	}
	if err := s.stopProcesses(ctx, s.service.Stop.Timeout); err != nil { // also the rest of a killed program: nothing must run twice
		return err
	}
	return s.launchProgram(ctx)
}

// settleTime is the time that a program must run after it became ready, if its address
// answered before the start.
const settleTime = time.Second

// launchProgram starts the program and waits until it is ready. After an error none of its
// processes is left.
func (s *shim) launchProgram(ctx context.Context) error {
	s.warnLimits()
	answered := s.answersAlready(ctx)
	output, err := s.openOutput()
	if err != nil {
		return err
	}
	defer output.closeLog()
	c, err := s.spawnProgram(ctx, output)
	if err == nil {
		err = s.waitReady(ctx, c)
		if err == nil && answered {
			err = s.waitRunning(ctx, c, settleTime)
		}
		if err != nil && answered {
			err = fmt.Errorf("%w (%v answered before the program was started: is its port taken?)", err, s.service.Ready.Check)
		}
	}
	if err == nil {
		return nil
	}
	if line := lastLine(output.readTail()); line != "" {
		err = fmt.Errorf("%w; last output: %s", err, line)
	}
	if text := output.readTail(); output.isOwn && strings.Contains(strings.TrimSpace(text), "\n") {
		fmt.Fprintln(s.err, strings.TrimRight(text, "\n"))
	}
	if errors.Is(err, errNotStarted) {
		return err
	}
	grace := s.service.Stop.Timeout
	if ctx.Err() != nil { // the caller no longer waits
		grace = 0
	}
	return errors.Join(err, s.stopProcesses(context.WithoutCancel(ctx), grace))
}

// answersAlready reports whether the address of the ready check answers before the start.
func (s *shim) answersAlready(ctx context.Context) bool {
	c := s.service.Ready.Check
	return c.IsSet() && len(c.Command) == 0 && c.Run(ctx, 250*time.Millisecond, nil) == nil
}

// warnLimits prints a warning when limits have no effect: the supervisor sets them on the
// cgroup that the shim is started in.
func (s *shim) warnLimits() {
	if s.service.Limits == (service.Limits{}) {
		return
	}
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil || !strings.Contains(string(b), "/supervisor-") {
		writeLines(s.err, "limits are not enforced: only the supervisor sets them")
	}
}

// output holds the files that the program prints to.
type output struct {
	out, err *os.File
	log      *os.File // the file whose end is shown; nil: none
	from     int64    // offset of this run in log
	isOwn    bool     // log is the program's log, not a file of the caller
}

// openOutput returns the standard streams of the shim if they are regular files, else the
// program's log. A log that cannot be opened does not prevent the start.
func (s *shim) openOutput() (*output, error) {
	o := &output{out: s.out, err: s.err, log: s.out}
	if !isRegular(s.out) || !isRegular(s.err) {
		own, err := logfile.Open(layout.ServiceLog(s.dir))
		if err != nil {
			writeLines(s.err, "cannot log the output: "+err.Error())
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
		if _, err := s.logLimit().Bound(own); err != nil {
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

func (o *output) closeLog() {
	if o.isOwn {
		o.out.Close()
	}
}

// readTail returns the end of the output since the start.
func (o *output) readTail() string {
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

// child is the started program.
type child struct {
	pid    int
	exited chan struct{} // closed on exit
	state  *os.ProcessState
}

// errNotStarted is wrapped by the error of a program that did not start.
var errNotStarted = errors.New("cannot start")

// spawnProgram starts the program. It returns just before the program's first
// instruction, or with an error.
func (s *shim) spawnProgram(ctx context.Context, o *output) (*child, error) {
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
		Dir: "/", Env: s.buildEnvironment(), Files: []*os.File{null, o.out, o.err, w}, Sys: &syscall.SysProcAttr{Setsid: true},
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
	messages, err := io.ReadAll(io.LimitReader(r, 8<<10)) // execve closes the other end
	if err != nil {
		_ = p.Kill()
		return nil, fmt.Errorf("%w: %s: its file system does not answer", errNotStarted, s.service.Command[0])
	}
	var failed error
	for line := range strings.Lines(string(messages)) {
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

// Pauses between checks whether the program is ready.
const (
	firstReadyPause = 10 * time.Millisecond
	maxReadyPause   = 250 * time.Millisecond
	maxReadyCheck   = 5 * time.Second // timeout of one check
)

// waitReady waits until the program is ready. It returns an error when it is not in time.
func (s *shim) waitReady(ctx context.Context, c *child) error {
	ready := s.service.Ready
	if !ready.IsSet() {
		return s.waitRunning(ctx, c, ready.After)
	}
	waiting, cancel := context.WithTimeout(ctx, max(0, min(ready.Timeout, time.Until(s.deadline)-killReserve)))
	defer cancel()
	began := time.Now()
	var last error
	for pauses := pause.NewDoubling(firstReadyPause, maxReadyPause); ; {
		if err := s.checkRunning(c); err != nil {
			return err
		}
		err := ready.Run(waiting, maxReadyCheck, s.runCheck)
		if err == nil {
			return s.checkRunning(c)
		}
		if last == nil || waiting.Err() == nil {
			last = err
		}
		next := time.NewTimer(pauses.Next())
		select {
		case <-waiting.Done():
			return notReadyError(ctx, time.Since(began), last)
		case <-c.exited:
			next.Reset(maxReadyPause) // a program in the background is checked again later
			select {
			case <-next.C:
			case <-waiting.Done():
				return notReadyError(ctx, time.Since(began), last)
			}
		case <-next.C:
		}
	}
}

func notReadyError(ctx context.Context, after time.Duration, last error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted before the program was ready: %w", last)
	}
	return fmt.Errorf("not ready within %v: %w", after.Round(10*time.Millisecond), last)
}

// waitRunning waits for d and returns an error when the program exits before.
func (s *shim) waitRunning(ctx context.Context, c *child, d time.Duration) error {
	next := time.NewTimer(d)
	defer next.Stop()
	select {
	case <-next.C:
	case <-c.exited:
		if err := s.checkRunning(c); err != nil {
			return err
		}
		select { // it is in the background
		case <-next.C:
		case <-ctx.Done():
		}
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return errors.New("interrupted before the program was ready")
	}
	return s.checkRunning(c)
}

// checkRunning returns nil if the program runs. If it put itself in the background, its new
// process is recorded.
func (s *shim) checkRunning(c *child) error {
	select {
	case <-c.exited:
	default:
		if stat, err := procfs.ReadStat(c.pid); err == nil && stat.Live() {
			return nil
		}
		<-c.exited
	}
	r, err := s.findProcesses()
	if err != nil {
		return err
	}
	if r.main == nil { // it may be in its session
		r.main = s.findProgram(r.tree, func(proc) bool { return true })
	}
	if r.main != nil {
		_ = service.WriteRun(s.dir, r.main.id) // without a record it is found like now
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
