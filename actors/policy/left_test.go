package policy

import (
	"slices"
	"testing"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// EV-21: a plugin that exits while another program works on it is left to the next
// scan.
func TestLeft(t *testing.T) {
	held := Fact{Kind: Exited, Exit: plugin.Exit{RunID: 1, CauseKnown: true, Code: 3, LockHeld: true}}
	failedReport := func(e Effect) bool { r, ok := e.(Report); return ok && r.Status == plugin.StatusFailed }
	runningReport := func(e Effect) bool { r, ok := e.(Report); return ok && r.Status == plugin.StatusRunning }
	check := func(e Effect) bool { _, ok := e.(Check); return ok }

	s := newSubject(t, plugin.RestartRecord{Failures: 2}).apply(seenRunning, held).want(Left, plugin.StateInstalled)
	if slices.ContainsFunc(s.effects, failedReport) || s.l.Record.Failures != 2 || s.l.PullStatus(s.now) != plugin.StatusFailed {
		t.Errorf("effects %+v, %d failures, %v in a pull", s.effects, s.l.Record.Failures, s.l.PullStatus(s.now))
	}
	if s.apply(Fact{Kind: LockFreed}); !slices.ContainsFunc(s.effects, check) {
		t.Errorf("--status is not run when the lock is free: %+v", s.effects)
	}
	if s.apply(Fact{Kind: SeenDead, Cause: "exit 3"}).want(Left, plugin.StateInstalled); !slices.ContainsFunc(s.effects, failedReport) {
		t.Errorf("not reported: %+v", s.effects)
	}
	s.apply(Fact{Kind: SeenDead, Cause: "exit 3", Scan: true}).want(Waiting, plugin.StateCrashLoop)
	a := s.effects[slices.IndexFunc(s.effects, func(e Effect) bool { _, ok := e.(Spawn); return ok })].(Spawn).Attempt
	if a.Kind != messages.KindStart || !a.CheckFirst || a.Delay < OtherProgramGrace || a.Delay > OtherProgramGrace+10*time.Second || s.l.Record.Failures != 2 {
		t.Errorf("attempt %+v, %d failures", a, s.l.Record.Failures)
	}

	s = newSubject(t, plugin.RestartRecord{}).apply(seenRunning, held, seenRunning).want(Running, plugin.StateRunning)
	if !slices.ContainsFunc(s.effects, runningReport) {
		t.Errorf("not reported: %+v", s.effects)
	}
	// Stopped by another program before the attempt that started it has finished.
	stopped := Fact{Kind: Exited, Exit: plugin.Exit{RunID: 2, CauseKnown: true, LockHeld: true}}
	s = newSubject(t, plugin.RestartRecord{}).apply(seenRunning, Fact{Kind: Exited, Exit: plugin.Exit{RunID: 1}}, Fact{Kind: AttemptBegun}, stopped,
		Fact{Kind: StartFailed, Cause: "not running after start: exit 1", At: moment(time.Hour), Probe: plugin.Probe{Status: plugin.StatusFailed}}).
		want(Left, plugin.StateInstalled)
	if s.l.Record.Failures != 0 || s.l.AttemptID() != 0 || !slices.ContainsFunc(s.effects, check) {
		t.Errorf("%d failures, attempt %d, %+v", s.l.Record.Failures, s.l.AttemptID(), s.effects)
	}

	newSubject(t, plugin.RestartRecord{}).apply(Fact{Kind: InstalledNow}).want(Left, plugin.StateInstalled)
}
