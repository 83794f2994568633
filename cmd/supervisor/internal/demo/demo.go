// Package demo shows the supervisor at work. It creates a temporary installation with
// the sample plugins and a control plane, and then breaks things on purpose: a daemon
// is killed, one keeps crashing, one hangs, an upgrade fails, the control plane is
// stopped.
//
// The supervisor and the control plane are the built programs, run as child processes.
// Each claim is verified in the status of the supervisor, at the control plane, and in
// the list of processes. A claim that fails makes the demo fail, so it is a test too.
//
// The demo always stops its processes, and removes its root unless Options.Keep is set.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pluginsupervisor/cmd/supervisor/internal/view"
)

// Options holds the options of the demo.
type Options struct {
	Bin  string        // folder with supervisor, controlplane and examples/
	For  time.Duration // stop after this time, but not before all was shown; 0 to run until ctx ends
	Keep bool          // do not remove the root
	Out  io.Writer

	timeout time.Duration // for one claim; 0 for a minute
}

// FailedError holds the claims of the demo that failed.
type FailedError struct{ Claims []string }

func (e *FailedError) Error() string { return "failed checks: " + strings.Join(e.Claims, "; ") }

// Run runs the demo. It returns a *FailedError if a claim failed, and another error
// if the demo could not run or, with Options.For, was interrupted.
func Run(ctx context.Context, o Options) (err error) {
	if o.timeout == 0 {
		o.timeout = time.Minute
	}
	if err := checkBuilt(o.Bin); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := newPrinter(o.Out, cancel)
	defer out.close()
	e, err := newEnv(o.Bin)
	if err != nil {
		return err
	}
	defer func() {
		out.printTitle("Cleaning up")
		err = errors.Join(err, e.cleanUp(context.WithoutCancel(ctx), o.Keep))
		if o.Keep {
			out.printLine("kept: " + e.root)
		} else if err == nil {
			out.printLine("stopped all plugins and processes, removed " + e.root)
		}
	}()
	s := &scenario{env: e, out: out, timeout: o.timeout, observer: newObserver(e)}
	err = s.runAll(ctx)
	failed := (*FailedError)(nil)
	switch {
	case errors.As(err, &failed):
		out.printQuote("last lines of the supervisor's log", readTail(e.logFile("supervisor"), 15))
		return err
	case ctx.Err() != nil && o.For == 0:
		return nil // Ctrl-C is the usual end of the demo
	case ctx.Err() != nil:
		return errors.New("interrupted before everything was shown")
	case err != nil:
		return err
	}
	if rest := o.For - out.elapsed(); o.For > 0 && rest > 0 {
		ctx, cancel = context.WithTimeout(ctx, rest)
		defer cancel()
	}
	if o.For == 0 || out.elapsed() < o.For {
		s.showStatusUntilDone(ctx, o.For == 0)
	}
	return nil
}

// showStatusUntilDone shows the status of the plugins until ctx ends.
func (s *scenario) showStatusUntilDone(ctx context.Context, untilCtrlC bool) {
	s.out.printTitle("Try it yourself")
	s.out.printLine("fleet page: " + s.out.paint.Link(s.env.pageURL()))
	s.out.printLine("status: " + shortenPath(filepath.Join(s.env.bin, "supervisor")) + " status --root " + s.env.root)
	if untilCtrlC {
		s.out.printLine("Ctrl-C stops the demo and cleans up")
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if snapshot, err := s.observer.admin.Status(ctx); err == nil {
			if s.out.terminal {
				s.out.redrawTable(snapshot)
			} else {
				s.out.printChanges(snapshot)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// printStatus prints the output of supervisor status.
func (s *scenario) printStatus(ctx context.Context) {
	snapshot, err := s.observer.admin.Status(ctx)
	if err != nil {
		return // the next claim fails
	}
	var b strings.Builder
	_ = view.WriteStatus(&b, snapshot, view.StatusOptions{Paint: s.out.paint})
	s.out.printQuote("supervisor status", b.String())
}

// shortenPath returns the path of a program, relative if it is below the current
// folder.
func shortenPath(program string) string {
	here, err := os.Getwd()
	if err != nil {
		return program
	}
	if short, err := filepath.Rel(here, program); err == nil && filepath.IsLocal(short) {
		return short
	}
	return program
}

func formatSeconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
