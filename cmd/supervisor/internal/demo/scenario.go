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

// scenario is the course of the demo.
type scenario struct {
	env             *env
	out             *printer
	observer        *observer
	timeout         time.Duration
	hangPID         int  // pid of the daemon of hang that will hang
	heartbeatMissed bool // that daemon was seen running without a heartbeat
	failed          []string
}

// runAll runs all parts of the demo. A failed claim does not stop it, unless the
// supervisor has exited.
func (s *scenario) runAll(ctx context.Context) error {
	if err := s.startPrograms(ctx); err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{
		s.showStart, s.showCrashLoop, s.showKill, s.showUpgrade, s.showRollback, s.showHang, s.showOutage,
	} {
		if err := part(ctx); err != nil {
			return errors.Join(s.failedClaims(), err)
		}
	}
	s.printStatus(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := s.failedClaims(); err != nil {
		return err
	}
	s.out.printLine("all checks passed")
	return nil
}

// checkClaim waits until a claim is true and prints the result. A non-nil error stops
// the demo.
func (s *scenario) checkClaim(ctx context.Context, what string, isTrue func(observation) bool) error {
	err := waitUntil(ctx, s.timeout, func() (bool, error) {
		o, err := s.observer.observe(ctx)
		if err != nil {
			return false, err
		}
		s.out.printChanges(o.Snapshot)
		// The part of hang comes late, but the heartbeat may be missed early.
		s.heartbeatMissed = s.heartbeatMissed || s.hangPID != 0 && o.findPID("hang", "1.0") == s.hangPID && s.env.heartbeatAge("hang", "1.0") > 3*time.Second
		return isTrue(o), nil
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		s.out.printVerified(what)
		return nil
	}
	s.out.printFailed(what, err)
	s.failed = append(s.failed, what)
	if !errors.Is(err, errTimeout) {
		return err
	}
	return nil
}

// failedClaims returns a *FailedError, or nil if no claim has failed.
func (s *scenario) failedClaims() error {
	if len(s.failed) == 0 {
		return nil
	}
	return &FailedError{s.failed}
}

func (s *scenario) startPrograms(ctx context.Context) error {
	s.out.printTitle("A host with four plugins")
	s.out.printLine("root " + s.env.root)
	for _, name := range samples {
		if err := s.env.installSample(ctx, name, "1.0"); err != nil {
			return err
		}
	}
	s.out.printLine("installed hello (healthy), crash (keeps crashing), hang (stops responding), once (no daemon)")
	if err := s.env.runControlPlane(ctx); err != nil {
		return err
	}
	s.out.printLine("control plane runs; fleet page: " + s.out.paint.Link(s.env.pageURL()))
	if err := s.env.runSupervisor(); err != nil {
		return err
	}
	s.out.printLine(fmt.Sprintf("supervisor runs as pid %d; here it scans every 3 s instead of every 15 min", s.env.supervisor.cmd.Process.Pid))
	return nil
}

// showStart shows that plugins that do not run are started and reported. No process
// of the root ran before, and no other program starts one.
func (s *scenario) showStart(ctx context.Context) error {
	err := s.checkClaim(ctx, "hello, crash and hang did not run and were started", func(o observation) bool {
		s.hangPID = o.findPID("hang", "1.0")
		crash := o.findView("crash").State
		return o.findView("hello").State == plugin.StateRunning && o.findPID("hello", "1.0") != 0 &&
			o.findView("hang").State == plugin.StateRunning && s.hangPID != 0 &&
			(crash == plugin.StateRunning || crash == plugin.StateCrashLoop)
	})
	if err != nil {
		return err
	}
	err = s.checkClaim(ctx, "the control plane has received tsuccessor state", func(o observation) bool {
		return o.findReported("hello").Status == plugin.StatusRunning && o.findReported("once").Status == plugin.StatusInstalled
	})
	if err != nil {
		return err
	}
	s.printStatus(ctx)
	return nil
}

// showCrashLoop shows that a plugin that keeps crashing is restarted with a growing
// delay.
func (s *scenario) showCrashLoop(ctx context.Context) error {
	s.out.printTitle("A plugin keeps crashing")
	return s.checkClaim(ctx, "crash is in a crash loop: its next restart is delayed", func(o observation) bool {
		v := o.findView("crash")
		return v.State == plugin.StateCrashLoop && v.Failures >= 2 && v.NextAt.After(o.At)
	})
}

// showKill shows that a killed daemon is restarted.
func (s *scenario) showKill(ctx context.Context) error {
	s.out.printTitle("A daemon is killed")
	var victim, before int
	if err := s.checkClaim(ctx, "hello is running", func(o observation) bool {
		v := o.findView("hello")
		victim, before = o.findPID("hello", "1.0"), v.Restarts
		return victim != 0 && v.State == plugin.StateRunning
	}); err != nil || victim == 0 {
		return err
	}
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill hello: %w", err)
	}
	killed := time.Now()
	s.out.printLine(fmt.Sprintf("kill -9 %d (hello)", victim))
	var successor int
	if err := s.checkClaim(ctx, "the exit was detected, and hello was restarted", func(o observation) bool {
		successor = o.findPID("hello", "1.0")
		v := o.findView("hello")
		return successor != 0 && successor != victim && v.Restarts > before && v.State == plugin.StateRunning
	}); err != nil || successor == 0 {
		return err
	}
	s.out.printLine(fmt.Sprintf("its pid is now %d, verified %s after the kill", successor, formatSeconds(time.Since(killed))))
	return nil
}

// showUpgrade shows that a version that the control plane assigns is installed.
func (s *scenario) showUpgrade(ctx context.Context) error {
	s.out.printTitle("An upgrade")
	if _, err := s.env.unpackSample("hello", "2.0"); err != nil {
		return err
	}
	if err := s.observer.assignVersion(ctx, "hello", "2.0"); err != nil {
		s.out.printLine(err.Error())
	}
	s.out.printLine("the control plane assigns hello 2.0 to its hosts")
	if err := s.checkClaim(ctx, "hello 2.0 runs, and 1.0 does not", func(o observation) bool {
		v := o.findView("hello")
		return v.Version == "2.0" && v.State == plugin.StateRunning && o.findPID("hello", "2.0") != 0 && o.findPID("hello", "1.0") == 0
	}); err != nil {
		return err
	}
	return s.checkClaim(ctx, "the control plane has received 2.0 as running", func(o observation) bool {
		t := o.findReported("hello")
		return t.Version == "2.0" && t.Status == plugin.StatusRunning
	})
}

// showRollback shows that a bad version is rolled back.
func (s *scenario) showRollback(ctx context.Context) error {
	s.out.printTitle("A bad upgrade")
	if _, err := s.env.unpackAs("hello", "3.0", "crash"); err != nil {
		return err
	}
	if err := s.observer.assignVersion(ctx, "hello", "3.0"); err != nil {
		s.out.printLine(err.Error())
	}
	s.out.printLine("the control plane assigns hello 3.0, which crashes")
	if err := s.checkClaim(ctx, "hello 3.0 was tried and rolled back: 2.0 is running", func(o observation) bool {
		v := o.findView("hello")
		return strings.Contains(v.Why, "rolled back to 2.0") && v.Version == "2.0" && v.State == plugin.StateRunning &&
			o.findPID("hello", "2.0") != 0 && o.findPID("hello", "3.0") == 0
	}); err != nil {
		return err
	}
	return s.checkClaim(ctx, "the control plane shows 2.0 as running", func(o observation) bool {
		t := o.findReported("hello")
		return t.Version == "2.0" && t.Status == plugin.StatusRunning
	})
}

// showHang shows that a plugin that runs without a heartbeat is restarted.
func (s *scenario) showHang(ctx context.Context) error {
	s.out.printTitle("A plugin hangs")
	return s.checkClaim(ctx, "hang ran without a heartbeat: it was killed and restarted", func(o observation) bool {
		pid := o.findPID("hang", "1.0")
		return o.findView("hang").State == plugin.StateRunning && pid != 0 && pid != s.hangPID && s.heartbeatMissed
	})
}

// showOutage shows that a report is kept while the control plane does not answer.
func (s *scenario) showOutage(ctx context.Context) error {
	s.out.printTitle("The control plane stops")
	if err := s.env.controlPlane.stopProcess(ctx); err != nil {
		return err
	}
	s.out.printLine("control plane stopped")
	if err := s.env.installSample(ctx, "once", "1.1"); err != nil {
		return err
	}
	s.out.printLine("once 1.1 is installed")
	if err := s.checkClaim(ctx, "the supervisor detected it, could not report it, and queued the report", func(o observation) bool {
		v := o.findView("once")
		return v.Version == "1.1" && v.Pending && o.Reports.LastError != ""
	}); err != nil {
		return err
	}
	if err := s.env.runControlPlane(ctx); err != nil {
		return err
	}
	s.out.printLine("control plane started again")
	return s.checkClaim(ctx, "the pending report was delivered", func(o observation) bool {
		return o.findReported("once").Version == "1.1" && !o.findView("once").Pending
	})
}
