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

	patience time.Duration // for one claim to come true; 0: a minute
}

// FailedError says which claims of the demo did not come true.
type FailedError struct{ Claims []string }

func (e *FailedError) Error() string { return "this did not happen: " + strings.Join(e.Claims, "; ") }

// Run gives the demo. It returns nil when all that it showed was true, a
// *FailedError when something was not, and another error when it could not be
// given or, with Options.For, was interrupted.
func Run(ctx context.Context, o Options) (err error) {
	if o.patience == 0 {
		o.patience = time.Minute
	}
	if err := checkBuilt(o.Bin); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tell := newNarrator(o.Out, cancel)
	defer tell.end()
	st, err := newStage(o.Bin)
	if err != nil {
		return err
	}
	defer func() {
		tell.section("The end")
		err = errors.Join(err, st.clear(context.WithoutCancel(ctx), o.Keep))
		if o.Keep {
			tell.line("kept: " + st.root)
		} else if err == nil {
			tell.line("plugins stopped, processes ended, " + st.root + " removed")
		}
	}()
	p := &play{stage: st, tell: tell, patience: o.patience, look: newEyes(st)}
	err = p.perform(ctx)
	failed := (*FailedError)(nil)
	switch {
	case errors.As(err, &failed):
		tell.quote("the end of the supervisor's log", tail(st.logFile("supervisor"), 15))
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
		p.linger(ctx, o.For == 0)
	}
	return nil
}

// linger keeps the show open until ctx ends.
func (p *play) linger(ctx context.Context, forEver bool) {
	p.tell.section("Look around")
	p.tell.line("the page: " + p.tell.paint.Link(p.stage.page()))
	p.tell.line("the table: " + typed(filepath.Join(p.stage.bin, "supervisor")) + " status --root " + p.stage.root)
	if forEver {
		p.tell.line("Ctrl-C ends it and cleans up")
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if snapshot, err := p.look.admin.Status(ctx); err == nil {
			if p.tell.terminal {
				p.tell.live(snapshot)
			} else {
				p.tell.changes(snapshot)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// status shows the table as `supervisor status` does.
func (p *play) status(ctx context.Context) {
	snapshot, err := p.look.admin.Status(ctx)
	if err != nil {
		return // a claim will tell
	}
	var b strings.Builder
	_ = view.Status(&b, snapshot, view.StatusOptions{Paint: p.tell.paint})
	p.tell.quote("supervisor status", b.String())
}

// typed is a program's path as one would type it here.
func typed(program string) string {
	here, err := os.Getwd()
	if err != nil {
		return program
	}
	if short, err := filepath.Rel(here, program); err == nil && filepath.IsLocal(short) {
		return short
	}
	return program
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
