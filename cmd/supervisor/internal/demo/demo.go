// Package demo shows the supervisor at work: a temporary installation, the
// sample plugins really installed and running, a control plane with its page,
// and then what goes wrong in the life of a host — a daemon killed, one that
// crashes for ever, one that hangs, an upgrade, a control plane that is away.
//
// Nothing is staged. The supervisor and the control plane are the programs
// that were built, run as children, and every claim the demo makes is one it
// has seen to be true: in the supervisor's own status, at the control plane,
// and in the kernel's list of processes. A claim that does not come true makes
// the demo fail, which makes it a test as well.
//
// However it ends, it stops what it started and removes its root.
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

// Options say what to show and where.
type Options struct {
	Bin  string        // folder with supervisor, controlplane and examples/
	For  time.Duration // end by itself after this long, or when all was shown; 0: go on until ctx ends
	Keep bool          // leave the root for a look afterwards
	Out  io.Writer

	timeout time.Duration // for one claim to come true; 0: a minute
}

// FailedError says which claims of the demo did not come true.
type FailedError struct{ Claims []string }

func (e *FailedError) Error() string { return "this did not happen: " + strings.Join(e.Claims, "; ") }

// Run gives the demo. It returns nil when all that it showed was true, a
// *FailedError when something was not, and another error when it could not be
// given or, with Options.For, was interrupted.
func Run(ctx context.Context, o Options) (err error) {
	if o.timeout == 0 {
		o.timeout = time.Minute
	}
	if err := checkBuilt(o.Bin); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tell := newPrinter(o.Out, cancel)
	defer tell.close()
	st, err := newEnv(o.Bin)
	if err != nil {
		return err
	}
	defer func() {
		tell.printTitle("The end")
		err = errors.Join(err, st.cleanUp(context.WithoutCancel(ctx), o.Keep))
		if o.Keep {
			tell.printLine("kept: " + st.root)
		} else if err == nil {
			tell.printLine("plugins stopped, processes ended, " + st.root + " removed")
		}
	}()
	p := &scenario{env: st, out: tell, timeout: o.timeout, observer: newObserver(st)}
	err = p.runAll(ctx)
	failed := (*FailedError)(nil)
	switch {
	case errors.As(err, &failed):
		tell.printQuote("the end of the supervisor's log", readTail(st.logFile("supervisor"), 15))
		return err
	case ctx.Err() != nil && o.For == 0:
		return nil // Ctrl-C is how it is meant to end
	case ctx.Err() != nil:
		return errors.New("interrupted before everything was shown")
	case err != nil:
		return err
	}
	if rest := o.For - tell.elapsed(); o.For > 0 && rest > 0 {
		ctx, cancel = context.WithTimeout(ctx, rest)
		defer cancel()
	}
	if o.For == 0 || tell.elapsed() < o.For {
		p.showStatusUntilDone(ctx, o.For == 0)
	}
	return nil
}

// showStatusUntilDone keeps the show open until ctx ends.
func (p *scenario) showStatusUntilDone(ctx context.Context, forEver bool) {
	p.out.printTitle("Look around")
	p.out.printLine("the page: " + p.out.paint.Link(p.env.pageURL()))
	p.out.printLine("the table: " + shortenPath(filepath.Join(p.env.bin, "supervisor")) + " status --root " + p.env.root)
	if forEver {
		p.out.printLine("Ctrl-C ends it and cleans up")
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if snapshot, err := p.observer.admin.Status(ctx); err == nil {
			if p.out.terminal {
				p.out.redrawTable(snapshot)
			} else {
				p.out.printChanges(snapshot)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// printStatus shows the table as `supervisor status` does.
func (p *scenario) printStatus(ctx context.Context) {
	snapshot, err := p.observer.admin.Status(ctx)
	if err != nil {
		return // a claim will tell
	}
	var b strings.Builder
	_ = view.WriteStatus(&b, snapshot, view.StatusOptions{Paint: p.out.paint})
	p.out.printQuote("supervisor status", b.String())
}

// shortenPath is a program's path as one would type it here.
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
