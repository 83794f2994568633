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

// play is the show.
type play struct {
	stage    *stage
	tell     *narrator
	look     *eyes
	patience time.Duration
	stuck    int  // pid of the hang that is going to be stuck
	silent   bool // it was seen alive and without a heartbeat
	failed   []string
}

// perform shows everything, scene after scene. A claim that does not come true
// does not end the play, unless nothing could be shown after it.
func (p *play) perform(ctx context.Context) error {
	if err := p.open(ctx); err != nil {
		return err
	}
	for _, scene := range []func(context.Context) error{
		p.started, p.crashing, p.killed, p.upgraded, p.rolledBack, p.hanging, p.away,
	} {
		if err := scene(ctx); err != nil {
			return errors.Join(p.verdict(), err)
		}
	}
	p.status(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := p.verdict(); err != nil {
		return err
	}
	p.tell.line("all of it really happened")
	return nil
}

// claim waits until what it says is seen to be true, and tells it. The error
// is for the end of the play only.
func (p *play) claim(ctx context.Context, what string, is func(sight) bool) error {
	err := eventually(ctx, p.patience, func() (bool, error) {
		s, err := p.look.see(ctx)
		if err != nil {
			return false, err
		}
		p.tell.changes(s.Snapshot)
		// The hang's scene is late, what it shows may be early.
		p.silent = p.silent || p.stuck != 0 && s.pid("hang", "1.0") == p.stuck && p.stage.silence("hang", "1.0") > 3*time.Second
		return is(s), nil
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		p.tell.came(what)
		return nil
	}
	p.tell.failed(what, err)
	p.failed = append(p.failed, what)
	if !errors.Is(err, errNotSeen) {
		return err
	}
	return nil
}

// verdict is nil as long as all claims came true.
func (p *play) verdict() error {
	if len(p.failed) == 0 {
		return nil
	}
	return &FailedError{p.failed}
}

func (p *play) open(ctx context.Context) error {
	p.tell.section("A host with four plugins")
	p.tell.line("root " + p.stage.root)
	for _, name := range samples {
		if err := p.stage.install(ctx, name, "1.0"); err != nil {
			return err
		}
	}
	p.tell.line("installed hello (healthy), crash (fails again and again), hang (gets stuck), once (no daemon)")
	if err := p.stage.runControlPlane(ctx); err != nil {
		return err
	}
	p.tell.line("control plane runs; its page: " + p.tell.paint.Link(p.stage.page()))
	if err := p.stage.runSupervisor(); err != nil {
		return err
	}
	p.tell.line(fmt.Sprintf("supervisor runs as pid %d; it looks every 3 s, here, instead of every 15 min", p.stage.supervisor.cmd.Process.Pid))
	return nil
}

// started: what did not run was found and started, and the control plane told.
// Nothing of the root ran before, and nobody but the supervisor starts anything.
func (p *play) started(ctx context.Context) error {
	err := p.claim(ctx, "hello, crash and hang were found not running, and started", func(s sight) bool {
		p.stuck = s.pid("hang", "1.0")
		crash := s.view("crash").State
		return s.view("hello").State == plugin.StateRunning && s.pid("hello", "1.0") != 0 &&
			s.view("hang").State == plugin.StateRunning && p.stuck != 0 &&
			(crash == plugin.StateRunning || crash == plugin.StateCrashLoop)
	})
	if err != nil {
		return err
	}
	err = p.claim(ctx, "the control plane was told", func(s sight) bool {
		return s.told("hello").Status == plugin.StatusRunning && s.told("once").Status == plugin.StatusInstalled
	})
	if err != nil {
		return err
	}
	p.status(ctx)
	return nil
}

// crashing: one that fails again and again is not started for ever at full speed.
func (p *play) crashing(ctx context.Context) error {
	p.tell.section("A plugin that will not stay up")
	return p.claim(ctx, "crash is in a crash loop: it has to wait before it is started again", func(s sight) bool {
		v := s.view("crash")
		return v.State == plugin.StateCrashLoop && v.Failures >= 2 && v.NextAt.After(s.At)
	})
}

// killed: a daemon that is killed comes back.
func (p *play) killed(ctx context.Context) error {
	p.tell.section("A daemon is killed")
	var victim, before int
	if err := p.claim(ctx, "hello is well", func(s sight) bool {
		v := s.view("hello")
		victim, before = s.pid("hello", "1.0"), v.Restarts
		return victim != 0 && v.State == plugin.StateRunning
	}); err != nil || victim == 0 {
		return err
	}
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill hello: %w", err)
	}
	killed := time.Now()
	p.tell.line(fmt.Sprintf("kill -9 %d (hello)", victim))
	var heir int
	if err := p.claim(ctx, "its death was seen, and it was started again", func(s sight) bool {
		heir = s.pid("hello", "1.0")
		v := s.view("hello")
		return heir != 0 && heir != victim && v.Restarts > before && v.State == plugin.StateRunning
	}); err != nil || heir == 0 {
		return err
	}
	p.tell.line(fmt.Sprintf("its pid is now %d, seen here %s after the kill", heir, seconds(time.Since(killed))))
	return nil
}

// upgraded: the control plane offers a version and gets it.
func (p *play) upgraded(ctx context.Context) error {
	p.tell.section("An upgrade")
	if _, err := p.stage.unpack("hello", "2.0"); err != nil {
		return err
	}
	if err := p.look.offer(ctx, "hello", "2.0"); err != nil {
		p.tell.line(err.Error())
	}
	p.tell.line("the control plane offers hello 2.0 to its hosts")
	if err := p.claim(ctx, "hello 2.0 runs, and 1.0 does not any more", func(s sight) bool {
		v := s.view("hello")
		return v.Version == "2.0" && v.State == plugin.StateRunning && s.pid("hello", "2.0") != 0 && s.pid("hello", "1.0") == 0
	}); err != nil {
		return err
	}
	return p.claim(ctx, "and the control plane was told", func(s sight) bool {
		t := s.told("hello")
		return t.Version == "2.0" && t.Status == plugin.StatusRunning
	})
}

// rolledBack: a version that does not prove itself is not kept.
func (p *play) rolledBack(ctx context.Context) error {
	p.tell.section("A bad upgrade")
	if _, err := p.stage.unpackAs("hello", "3.0", "crash"); err != nil {
		return err
	}
	if err := p.look.offer(ctx, "hello", "3.0"); err != nil {
		p.tell.line(err.Error())
	}
	p.tell.line("the control plane offers hello 3.0, which will not stay up")
	if err := p.claim(ctx, "hello 3.0 was tried and rolled back: 2.0 runs again", func(s sight) bool {
		v := s.view("hello")
		return strings.Contains(v.Why, "rolled back to 2.0") && v.Version == "2.0" && v.State == plugin.StateRunning &&
			s.pid("hello", "2.0") != 0 && s.pid("hello", "3.0") == 0
	}); err != nil {
		return err
	}
	return p.claim(ctx, "and the control plane knows 2.0 as running", func(s sight) bool {
		t := s.told("hello")
		return t.Version == "2.0" && t.Status == plugin.StatusRunning
	})
}

// hanging: a process that lives but does nothing is noticed by its heartbeat.
func (p *play) hanging(ctx context.Context) error {
	p.tell.section("A plugin that hangs")
	return p.claim(ctx, "hang lived, but its heartbeat had stopped: it was ended and started again", func(s sight) bool {
		pid := s.pid("hang", "1.0")
		return s.view("hang").State == plugin.StateRunning && pid != 0 && pid != p.stuck && p.silent
	})
}

// away: what the control plane misses while it is away it is told afterwards.
func (p *play) away(ctx context.Context) error {
	p.tell.section("The control plane is away")
	if err := p.stage.controlPlane.stop(ctx); err != nil {
		return err
	}
	p.tell.line("control plane stopped")
	if err := p.stage.install(ctx, "once", "1.1"); err != nil {
		return err
	}
	p.tell.line("meanwhile, once 1.1 is installed")
	if err := p.claim(ctx, "the supervisor found it, could not tell, and keeps it as owed", func(s sight) bool {
		v := s.view("once")
		return v.Version == "1.1" && v.Pending && s.Reports.LastError != ""
	}); err != nil {
		return err
	}
	if err := p.stage.runControlPlane(ctx); err != nil {
		return err
	}
	p.tell.line("control plane runs again")
	return p.claim(ctx, "what was owed has arrived", func(s sight) bool {
		return s.told("once").Version == "1.1" && !s.view("once").Pending
	})
}
