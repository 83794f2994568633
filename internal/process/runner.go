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

// DefaultGrace is the time between SIGTERM and SIGKILL when Options names none.
const DefaultGrace = 3 * time.Second

// Options are a Runner's settings; the zero value is usable.
type Options struct {
	Grace   time.Duration      // from SIGTERM to SIGKILL; ≤ 0: DefaultGrace
	Tracker *Tracker           // follows what plugins' commands leave running; nil: they are not followed
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
	unlogged map[string]bool // logs that could not be opened and were warned of
}

// NewRunner makes a Runner.
func NewRunner(o Options) *Runner {
	if o.Grace <= 0 {
		o.Grace = DefaultGrace
	}
	o.Log = logger.OrSilent(o.Log)
	return &Runner{grace: o.Grace, tracker: o.Tracker, log: o.Log, idle: make(chan struct{}), unlogged: map[string]bool{}}
}

// Run starts the command in its own process group and waits for it. At its
// deadline or the end of ctx the group gets SIGTERM, the grace, SIGKILL, and
// Run returns when no live member is left (RS-08, SC-09). That wait has no
// bound: a process the kernel cannot end, in a dead network file system say, is
// warned of and waited for. When the command ends by itself, what it leaves in
// its group is killed too, unless the command may leave a Daemon.
func (r *Runner) Run(ctx context.Context, c Command) Result {
	began := time.Now()
	res := Result{ExitCode: -1}
	r.run(ctx, c, &res)
	res.Took = time.Since(began)
	return res
}

func (r *Runner) run(ctx context.Context, c Command, res *Result) {
	if !r.enter() {
		res.Err = ErrDraining
		return
	}
	defer r.leave()
	if ctx.Err() != nil {
		res.Cancelled, res.Err = true, errCancelled(ctx)
		return
	}
	if !filepath.IsAbs(c.Path) {
		res.Err = fail("executable path is not absolute", fs.ErrInvalid)
		return
	}
	if c.Dir == "" {
		c.Dir = "/"
	}
	out, err := r.sink(c)
	if err != nil {
		res.Err = errNotStarted(err)
		return
	}
	defer func() { res.Output = out.text() }()
	room := r.tracker.enter(c)
	defer func() { res.Life, res.Processes = room.leave() }()
	cut, cancel := ctx, context.CancelFunc(func() {})
	if c.Timeout > 0 {
		cut, cancel = context.WithTimeout(ctx, c.Timeout)
	}
	defer cancel()
	p, err := start(cut.Done(), c, room, out.fd())
	if errors.Is(err, errHung) {
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
	out.started()
	res.Started = true

	r.await(ctx, cut, c, p, res)
	ours := res.TimedOut || res.Cancelled
	if ours {
		r.terminate(p)
	} else {
		out.settle()
	}
	if ours {
		p.room.kill()
	}
	status, err := r.finish(p, ours || !c.Daemon)
	for pauses := pause.NewDoubling(firstLook, lastLook); ours && !p.gone(); time.Sleep(pauses.Next()) {
		p.room.kill()
	}
	out.settle()
	switch {
	case status.Signaled():
		res.Signal = status.Signal()
	case !ours && err == nil:
		res.ExitCode = status.ExitStatus()
	}
	if err == nil {
		err = errEnded(status, room.short())
	}
	if !ours {
		res.Err = err
	}
}

// await waits for the end of the command, or that of cut, which comes with the
// deadline or with the end of ctx, and sets which.
func (r *Runner) await(ctx, cut context.Context, c Command, p *child, res *Result) {
	select {
	case <-p.ended:
	case <-cut.Done():
		if ctx.Err() != nil {
			res.Cancelled, res.Err = true, errCancelled(ctx)
		} else {
			res.TimedOut, res.Err = true, errTimedOut(c.Timeout)
		}
	}
	if p.hasEnded() { // at the same moment: it ended by itself
		res.TimedOut, res.Cancelled = false, false
	}
}

// terminate asks the group to end, and returns when it has or the grace is over.
func (r *Runner) terminate(p *child) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT} { // what is stopped sees the one after the other
		p.signal(sig)
		p.signalRest(sig)
	}
	grace, cancel := context.WithTimeout(context.Background(), r.grace)
	defer cancel()
	select {
	case <-p.ended:
	case <-grace.Done():
		return
	}
	for pauses := pause.NewDoubling(firstLook, lastLook); !p.gone() && pauses.Sleep(grace) == nil; {
	}
}

// How often a group that is ending is looked at.
const (
	firstLook = time.Millisecond
	lastLook  = 100 * time.Millisecond
)

// stuckAfter is when a group that does not end after SIGKILL is warned of.
const stuckAfter = 10 * time.Second

// finish reaps the child. With all, the whole group is killed first, and
// nothing of it lives when finish returns.
func (r *Runner) finish(p *child, all bool) (syscall.WaitStatus, error) {
	if !all {
		return p.reap()
	}
	stuck := time.AfterFunc(stuckAfter, func() {
		r.log.WithFields(logrus.Fields{"path": p.path, "pgid": p.id}).Warn("Process group does not end after SIGKILL")
	})
	defer stuck.Stop()
	p.signal(syscall.SIGKILL)
	status, err := p.reap()
	for pauses := pause.NewDoubling(firstLook, lastLook); !p.empty(); time.Sleep(pauses.Next()) {
	}
	return status, err
}

// sink opens where the output goes. A log that cannot be opened does not
// prevent the start: a full disk must not keep plugins down. It is warned of
// once, and again only after it had worked.
func (r *Runner) sink(c Command) (sink, error) {
	switch {
	case c.Streams != nil:
		return handedOver{c.Streams.Out}, nil
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
	l, err := openLog(c.Log, r.log)
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
		r.log.WithError(err).WithField("log", c.Log).Warn("Output is not logged")
	}
	return openNull()
}

func openNull() (sink, error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return nowhere{null}, nil
}
