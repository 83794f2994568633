package process

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/pause"
)

// DefaultGrace is the time between SIGTERM and SIGKILL if Options has none.
const DefaultGrace = 3 * time.Second

// Options are a Runner's settings; the zero value is usable.
type Options struct {
	Grace   time.Duration      // from SIGTERM to SIGKILL; ≤ 0: DefaultGrace
	Tracker *Tracker           // follows what plugins' commands leave running; nil: not followed
	Log     logrus.FieldLogger // nil: silent
}

// Runner runs commands, any number at once.
type Runner struct {
	grace   time.Duration
	tracker *Tracker
	log     logrus.FieldLogger

	mu       sync.Mutex
	running  int
	draining bool
	idle     chan struct{}   // closed when draining and nothing runs
	unlogged map[string]bool // logs that could not be opened, already logged
}

// NewRunner returns a Runner.
func NewRunner(o Options) *Runner {
	if o.Grace <= 0 {
		o.Grace = DefaultGrace
	}
	o.Log = logger.OrSilent(o.Log)
	return &Runner{grace: o.Grace, tracker: o.Tracker, log: o.Log, idle: make(chan struct{}), unlogged: map[string]bool{}}
}

// Run starts the command in its own process group and waits for it. When its deadline passes or ctx
// ends, the group gets SIGTERM, after the grace SIGKILL, and Run returns when no member is alive
// (RS-08, SC-09). That wait is unlimited: a process that the kernel cannot kill, for example in a
// dead network file system, is logged and waited for. When the command exits by itself, the rest of
// its group is killed too, unless it is a Daemon.
func (r *Runner) Run(ctx context.Context, c Command) Result {
	began := time.Now()
	res := Result{ExitCode: -1}
	r.runCommand(ctx, c, &res)
	res.Took = time.Since(began)
	return res
}

func (r *Runner) runCommand(ctx context.Context, c Command, res *Result) {
	if !r.beginCommand() {
		res.Err = ErrDraining
		return
	}
	defer r.endCommand()
	if ctx.Err() != nil {
		res.Cancelled, res.Err = true, errCancelled(ctx)
		return
	}
	if !filepath.IsAbs(c.Path) {
		res.Err = newFailure("executable path is not absolute", fs.ErrInvalid)
		return
	}
	if c.Dir == "" {
		c.Dir = "/"
	}
	out, err := r.openSink(c)
	if err != nil {
		res.Err = errNotStarted(err)
		return
	}
	defer func() { res.Output = out.closeAndRead() }()
	room := r.tracker.beginScope(c)
	defer func() { res.RunID, res.Processes = room.endScope() }()
	cut, cancel := ctx, context.CancelFunc(func() {})
	if c.Timeout > 0 {
		cut, cancel = context.WithTimeout(ctx, c.Timeout)
	}
	defer cancel()
	p, err := startCommand(cut.Done(), c, room, out.fd())
	if errors.Is(err, errExecHung) {
		if ctx.Err() != nil {
			res.Cancelled, res.Err = true, errCancelled(ctx)
		} else {
			res.TimedOut, res.Err = true, err
		}
		return
	}
	if err != nil {
		res.Err = errStart(c, err)
		return
	}
	out.childStarted()
	res.Started = true

	r.awaitCommand(ctx, cut, c, p, res)
	ours := res.TimedOut || res.Cancelled
	if ours {
		r.terminateGroup(p)
	} else {
		out.drainOutput()
	}
	if ours {
		p.scope.killLeft()
	}
	status, err := r.killAndReap(p, ours || !c.Daemon)
	for pauses := pause.NewDoubling(minPoll, maxPoll); ours && !p.isGone(); time.Sleep(pauses.Next()) {
		p.scope.killLeft()
	}
	out.drainOutput()
	switch {
	case status.Signaled():
		res.Signal = status.Signal()
	case !ours && err == nil:
		res.ExitCode = status.ExitStatus()
	}
	if err == nil {
		err = errEnded(status, room.ranOutOfMemory())
	}
	if !ours {
		res.Err = err
	}
}

// awaitCommand waits until the command exits or cut ends, by the deadline or with ctx, and records which.
func (r *Runner) awaitCommand(ctx, cut context.Context, c Command, p *child, res *Result) {
	select {
	case <-p.exited:
	case <-cut.Done():
		if ctx.Err() != nil {
			res.Cancelled, res.Err = true, errCancelled(ctx)
		} else {
			res.TimedOut, res.Err = true, errTimedOut(c.Timeout)
		}
	}
	if p.hasExited() { // at the same moment: it exited by itself
		res.TimedOut, res.Cancelled = false, false
	}
}

// terminateGroup sends SIGTERM to the group, and returns when it has exited or the grace has passed.
func (r *Runner) terminateGroup(p *child) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT} { // a stopped process handles SIGTERM after SIGCONT
		p.signalGroup(sig)
		p.signalScope(sig)
	}
	grace, cancel := context.WithTimeout(context.Background(), r.grace)
	defer cancel()
	select {
	case <-p.exited:
	case <-grace.Done():
		return
	}
	for pauses := pause.NewDoubling(minPoll, maxPoll); !p.isGone() && pauses.Sleep(grace) == nil; {
	}
}

// minPoll and maxPoll are the first and the longest pause between checks of a group that is
// exiting.
const (
	minPoll = time.Millisecond
	maxPoll = 100 * time.Millisecond
)

// stuckAfter is the time after SIGKILL from which a group that does not exit is logged.
const stuckAfter = 10 * time.Second

// killAndReap reaps the child. With all, it kills the whole group first and returns when no member is
// alive.
func (r *Runner) killAndReap(p *child, all bool) (syscall.WaitStatus, error) {
	if !all {
		return p.reapStatus()
	}
	stuck := time.AfterFunc(stuckAfter, func() {
		r.log.WithFields(logrus.Fields{"path": p.path, "pgid": p.id}).Warn("Process group still runs after SIGKILL")
	})
	defer stuck.Stop()
	p.signalGroup(syscall.SIGKILL)
	status, err := p.reapStatus()
	for pauses := pause.NewDoubling(minPoll, maxPoll); !p.isEmpty(); time.Sleep(pauses.Next()) {
	}
	return status, err
}

// openSink opens the sink for the output. If the log cannot be opened, the command runs without one: a
// full disk must not prevent a start. This is logged once, and again only after the log has worked.
func (r *Runner) openSink(c Command) (sink, error) {
	switch {
	case c.Streams != nil:
		return callerFile{c.Streams.Out}, nil
	case c.Log == "" && c.Daemon:
		return openNull()
	case c.Log == "":
		p, err := newPipe()
		if err != nil {
			return nil, err
		}
		p.ring.keep = c.Keep
		return p, nil
	}
	l, err := openLog(c.Log, c.LogEvent, r.log)
	r.mu.Lock()
	warned := r.unlogged[c.Log]
	if err != nil {
		r.unlogged[c.Log] = true
	} else {
		delete(r.unlogged, c.Log)
	}
	r.mu.Unlock()
	if err == nil {
		return l, nil
	}
	if !warned {
		r.log.WithError(err).WithField("log", c.Log).Warn("Cannot open the plugin log, its output is lost")
	}
	return openNull()
}

func openNull() (sink, error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return nullSink{null}, nil
}
