package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"pluginsupervisor/plugin"
)

// scenario is the show.
type scenario struct {
	env             *env
	out             *printer
	observer        *observer
	timeout         time.Duration
	hangPID         int  // pid of the hang that is going to be stuck
	heartbeatMissed bool // it was seen alive and without a heartbeat
	failed          []string
}

// runAll shows everything, scene after scene. A claim that does not come true
// does not end the play, unless nothing could be shown after it.
func (p *scenario) runAll(ctx context.Context) error {
	if err := p.startPrograms(ctx); err != nil {
		return err
	}
	for _, scene := range []func(context.Context) error{
		p.showStart, p.showCrashLoop, p.showKill, p.showUpgrade, p.showRollback, p.showHang, p.showOutage,
	} {
		if err := scene(ctx); err != nil {
			return errors.Join(p.failedClaims(), err)
		}
	}
	p.printStatus(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := p.failedClaims(); err != nil {
		return err
	}
	p.out.printLine("all of it really happened")
	return nil
}

// checkClaim waits until what it says is seen to be true, and tells it. The error
// is for the end of the play only.
func (p *scenario) checkClaim(ctx context.Context, what string, is func(observation) bool) error {
	err := waitUntil(ctx, p.timeout, func() (bool, error) {
		s, err := p.observer.observe(ctx)
		if err != nil {
			return false, err
		}
		p.out.printChanges(s.Snapshot)
		// The hang's scene is late, what it shows may be early.
		p.heartbeatMissed = p.heartbeatMissed || p.hangPID != 0 && s.findPID("hang", "1.0") == p.hangPID && p.env.heartbeatAge("hang", "1.0") > 3*time.Second
		return is(s), nil
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		p.out.printVerified(what)
		return nil
	}
	p.out.printFailed(what, err)
	p.failed = append(p.failed, what)
	if !errors.Is(err, errTimeout) {
		return err
	}
	return nil
}

// failedClaims is nil as long as all claims came true.
func (p *scenario) failedClaims() error {
	if len(p.failed) == 0 {
		return nil
	}
	return &FailedError{p.failed}
}

func (p *scenario) startPrograms(ctx context.Context) error {
	p.out.printTitle("A host with four plugins")
	p.out.printLine("root " + p.env.root)
	for _, name := range samples {
		if err := p.env.installSample(ctx, name, "1.0"); err != nil {
			return err
		}
	}
	p.out.printLine("installed hello (healthy), crash (fails again and again), hang (gets stuck), once (no daemon)")
	if err := p.env.runControlPlane(ctx); err != nil {
		return err
	}
	p.out.printLine("control plane runs; its page: " + p.out.paint.Link(p.env.pageURL()))
	if err := p.env.runSupervisor(); err != nil {
		return err
	}
	p.out.printLine(fmt.Sprintf("supervisor runs as pid %d; it looks every 3 s, here, instead of every 15 min", p.env.supervisor.cmd.Process.Pid))
	return nil
}

// showStart: what did not run was found and started, and the control plane told.
// Nothing of the root ran before, and nobody but the supervisor starts anything.
func (p *scenario) showStart(ctx context.Context) error {
	err := p.checkClaim(ctx, "hello, crash and hang were found not running, and started", func(s observation) bool {
		p.hangPID = s.findPID("hang", "1.0")
		crash := s.findView("crash").State
		return s.findView("hello").State == plugin.StateRunning && s.findPID("hello", "1.0") != 0 &&
			s.findView("hang").State == plugin.StateRunning && p.hangPID != 0 &&
			(crash == plugin.StateRunning || crash == plugin.StateCrashLoop)
	})
	if err != nil {
		return err
	}
	err = p.checkClaim(ctx, "the control plane was told", func(s observation) bool {
		return s.findReported("hello").Status == plugin.StatusRunning && s.findReported("once").Status == plugin.StatusInstalled
	})
	if err != nil {
		return err
	}
	p.printStatus(ctx)
	return nil
}

// showCrashLoop: one that fails again and again is not started for ever at full speed.
func (p *scenario) showCrashLoop(ctx context.Context) error {
	p.out.printTitle("A plugin that will not stay up")
	return p.checkClaim(ctx, "crash is in a crash loop: it has to wait before it is started again", func(s observation) bool {
		v := s.findView("crash")
		return v.State == plugin.StateCrashLoop && v.Failures >= 2 && v.NextAt.After(s.At)
	})
}

// showKill: a daemon that is killed comes back.
func (p *scenario) showKill(ctx context.Context) error {
	p.out.printTitle("A daemon is killed")
	var victim, before int
	if err := p.checkClaim(ctx, "hello is well", func(s observation) bool {
		v := s.findView("hello")
		victim, before = s.findPID("hello", "1.0"), v.Restarts
		return victim != 0 && v.State == plugin.StateRunning
	}); err != nil || victim == 0 {
		return err
	}
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill hello: %w", err)
	}
	killed := time.Now()
	p.out.printLine(fmt.Sprintf("kill -9 %d (hello)", victim))
	var heir int
	if err := p.checkClaim(ctx, "its death was seen, and it was started again", func(s observation) bool {
		heir = s.findPID("hello", "1.0")
		v := s.findView("hello")
		return heir != 0 && heir != victim && v.Restarts > before && v.State == plugin.StateRunning
	}); err != nil || heir == 0 {
		return err
	}
	p.out.printLine(fmt.Sprintf("its pid is now %d, seen here %s after the kill", heir, formatSeconds(time.Since(killed))))
	return nil
}

// showUpgrade: the control plane offers a version and gets it.
func (p *scenario) showUpgrade(ctx context.Context) error {
	p.out.printTitle("An upgrade")
	if _, err := p.env.unpackSample("hello", "2.0"); err != nil {
		return err
	}
	if err := p.observer.assignVersion(ctx, "hello", "2.0"); err != nil {
		p.out.printLine(err.Error())
	}
	p.out.printLine("the control plane offers hello 2.0 to its hosts")
	if err := p.checkClaim(ctx, "hello 2.0 runs, and 1.0 does not any more", func(s observation) bool {
		v := s.findView("hello")
		return v.Version == "2.0" && v.State == plugin.StateRunning && s.findPID("hello", "2.0") != 0 && s.findPID("hello", "1.0") == 0
	}); err != nil {
		return err
	}
	return p.checkClaim(ctx, "and the control plane was told", func(s observation) bool {
		t := s.findReported("hello")
		return t.Version == "2.0" && t.Status == plugin.StatusRunning
	})
}

// showRollback: a version that does not prove itself is not kept.
func (p *scenario) showRollback(ctx context.Context) error {
	p.out.printTitle("A bad upgrade")
	if _, err := p.env.unpackAs("hello", "3.0", "crash"); err != nil {
		return err
	}
	if err := p.observer.assignVersion(ctx, "hello", "3.0"); err != nil {
		p.out.printLine(err.Error())
	}
	p.out.printLine("the control plane offers hello 3.0, which will not stay up")
	if err := p.checkClaim(ctx, "hello 3.0 was tried and rolled back: 2.0 runs again", func(s observation) bool {
		v := s.findView("hello")
		return strings.Contains(v.Why, "rolled back to 2.0") && v.Version == "2.0" && v.State == plugin.StateRunning &&
			s.findPID("hello", "2.0") != 0 && s.findPID("hello", "3.0") == 0
	}); err != nil {
		return err
	}
	return p.checkClaim(ctx, "and the control plane knows 2.0 as running", func(s observation) bool {
		t := s.findReported("hello")
		return t.Version == "2.0" && t.Status == plugin.StatusRunning
	})
}

// showHang: a process that lives but does nothing is noticed by its heartbeat.
func (p *scenario) showHang(ctx context.Context) error {
	p.out.printTitle("A plugin that hangs")
	return p.checkClaim(ctx, "hang lived, but its heartbeat had stopped: it was ended and started again", func(s observation) bool {
		pid := s.findPID("hang", "1.0")
		return s.findView("hang").State == plugin.StateRunning && pid != 0 && pid != p.hangPID && p.heartbeatMissed
	})
}

// showOutage: what the control plane misses while it is away it is told afterwards.
func (p *scenario) showOutage(ctx context.Context) error {
	p.out.printTitle("The control plane is away")
	if err := p.env.controlPlane.stopProcess(ctx); err != nil {
		return err
	}
	p.out.printLine("control plane stopped")
	if err := p.env.installSample(ctx, "once", "1.1"); err != nil {
		return err
	}
	p.out.printLine("meanwhile, once 1.1 is installed")
	if err := p.checkClaim(ctx, "the supervisor found it, could not tell, and keeps it as owed", func(s observation) bool {
		v := s.findView("once")
		return v.Version == "1.1" && v.Pending && s.Reports.LastError != ""
	}); err != nil {
		return err
	}
	if err := p.env.runControlPlane(ctx); err != nil {
		return err
	}
	p.out.printLine("control plane runs again")
	return p.checkClaim(ctx, "what was owed has arrived", func(s observation) bool {
		return s.findReported("once").Version == "1.1" && !s.findView("once").Pending
	})
}
