package policy

import (
	"errors"
	"testing"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// What the changes of these tests lead to.
var (
	leftRunning   = plugin.Outcome{RunID: 2, Processes: daemon}
	verbFailed    = plugin.Outcome{Err: errors.New("exit 3")}
	wasUpgraded   = plugin.ChangeResult{Outcome: leftRunning, Plugin: version2(), Previous: "1.0", Status: plugin.StatusRunning}
	notProven     = plugin.ChangeResult{Outcome: verbFailed, Plugin: version2(), Previous: "1.0", Status: plugin.StatusFailed}
	wasRolledBack = plugin.ChangeResult{Outcome: verbFailed, Plugin: persist(1, "a"), Status: plugin.StatusRunning, RolledBack: true}
	notTouched    = plugin.ChangeResult{Outcome: verbFailed, Plugin: persist(1, "a")}
)

// newChanging returns a plugin that is being changed.
func newChanging(t *testing.T) *subject {
	return newRunning(t).tell(granted).want(Changing, plugin.StateUpgrading)
}

func TestChangeGranted(t *testing.T) {
	t.Run("UP-10 nothing that is seen meanwhile does anything", func(t *testing.T) {
		s := newChanging(t)
		for _, f := range []Fact{
			seenDead, seenRunning, {Kind: HeartbeatLate}, {Kind: RecordGone}, {Kind: Recorded, Plugin: version2()}, {Kind: RefreshDue}, {Kind: HealthFailed},
		} {
			if s.tell(f).want(Changing, plugin.StateUpgrading); len(s.effects) != 0 {
				t.Errorf("%s: %+v", f.Kind, s.effects)
			}
		}
	})
	t.Run("UP-10 granted when the attempt under way has ended", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).tell(seenDead, begun, granted).want(Cancelling, plugin.StateUpgrading)
		if _, ok := effect[ApplyChange](s); ok {
			t.Error("made while the start runs")
		}
		if e, ok := effect[ApplyChange](s.tell(cancelled).want(Changing, plugin.StateUpgrading)); !ok || e.Change != granted.Change {
			t.Errorf("%+v", s.effects)
		}
	})
	t.Run("UP-12 cancelled before that: the attempt is made up for", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).tell(seenDead, begun, granted, Fact{Kind: ChangeDropped}, cancelled)
		s.want(Waiting, plugin.StateStarting).spawned(messages.KindStart)
	})
}

func TestChangeStatus(t *testing.T) {
	t.Run("UP-13 the status at the grant", func(t *testing.T) {
		for name, test := range map[string]struct {
			s    *subject
			want plugin.Status
		}{
			"runs":                            {newRunning(t), plugin.StatusRunning},
			"silent":                          {newRunning(t).tell(Fact{Kind: HealthFailed}), plugin.StatusRunning},
			"ran, its restart waits":          {newRunning(t).tell(exits(1)), plugin.StatusRunning},
			"ran, its restart waits, seen up": {newRunning(t).tell(exits(1), seenRunning), plugin.StatusRunning},
			"never ran":                       {newSubject(t, plugin.RestartRecord{}).tell(seenDead), plugin.StatusFailed},
			"crash loop":                      {newRunning(t).tell(exits(1), begun, startFails), plugin.StatusFailed},
			"not asked yet":                   {newSubject(t, plugin.RestartRecord{}), plugin.StatusUnknown},
		} {
			s := test.s.tell(granted)
			if s.l.AttemptID() != 0 {
				s.tell(cancelled)
			}
			if e, _ := effect[ApplyChange](s); e.Before != test.want {
				t.Errorf("%s: before %s, want %s", name, e.Before, test.want)
			}
		}
	})
	t.Run("UP-13 a start that succeeds though it was cancelled for a change counts as running", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).tell(seenDead, begun, granted)
		if e, _ := effect[ApplyChange](s.tell(s.starts(1))); e.Before != plugin.StatusRunning {
			t.Errorf("before %s", e.Before)
		}
	})
	t.Run("UP-13 what is true afterwards", func(t *testing.T) {
		for name, test := range map[string]struct {
			done   plugin.ChangeResult
			exit   uint64 // of a run, while it was changed
			phase  PhaseKind
			state  plugin.State
			report plugin.Status
		}{
			"it runs":                           {wasUpgraded, 0, Running, plugin.StateRunning, plugin.StatusRunning},
			"the old one exited for it":         {wasUpgraded, 1, Running, plugin.StateRunning, plugin.StatusRunning},
			"exited at the end":                 {wasUpgraded, 2, Waiting, plugin.StateCrashLoop, plugin.StatusFailed},
			"the proof failed":                  {notProven, 0, Waiting, plugin.StateStarting, plugin.StatusFailed},
			"rolled back":                       {wasRolledBack, 0, Running, plugin.StateRunning, plugin.StatusRunning},
			"rolled back, and exited":           {wasRolledBack, 2, Waiting, plugin.StateCrashLoop, plugin.StatusFailed},
			"not touched":                       {notTouched, 0, Running, plugin.StateRunning, plugin.StatusUnknown},
			"not touched, and exited meanwhile": {notTouched, 1, Waiting, plugin.StateStarting, plugin.StatusUnknown},
			"removed":                           {plugin.ChangeResult{Status: plugin.StatusRemoved}, 0, Removed, plugin.StateRemoved, plugin.StatusRemoved},
			"a Once plugin now":                 {plugin.ChangeResult{Plugin: once(1, "a"), Status: plugin.StatusInstalled}, 0, Installed, plugin.StateInstalled, plugin.StatusInstalled},
		} {
			t.Run(name, func(t *testing.T) {
				s := newChanging(t)
				if test.exit > 0 {
					s.tell(exits(test.exit)).want(Changing, plugin.StateUpgrading)
				}
				s.tell(s.completed(test.done)).want(test.phase, test.state).reported(test.report)
				if test.phase == Waiting {
					s.spawned(messages.KindStart)
				}
				if exited := test.phase == Waiting && test.exit > 0; exited != (s.l.Record.Cause == "exit 3") {
					t.Errorf("cause %q", s.l.Record.Cause)
				}
				if _, asked := effect[Check](s); asked != (name == "not touched") {
					t.Errorf("--status is asked: %v", asked)
				}
			})
		}
	})
	t.Run("UP-13 a plugin that was not installed", func(t *testing.T) {
		absent := func(t *testing.T) *subject {
			s := newSubject(t, plugin.RestartRecord{})
			s.l = NewAbsent(plugin.Plugin{Name: "a", Version: "2.0", Type: plugin.Unknown}, epoch)
			return s.tell(granted).want(Changing, plugin.StateUpgrading)
		}
		s := absent(t)
		s.tell(s.completed(wasUpgraded)).want(Running, plugin.StateRunning).reported(plugin.StatusRunning)
		s = absent(t)
		s.tell(s.completed(notProven)).want(Waiting, plugin.StateStarting).reported(plugin.StatusFailed)
		s = absent(t)
		s.tell(s.completed(plugin.ChangeResult{Outcome: verbFailed})).want(Removed, plugin.StateRemoved).reported(plugin.StatusUnknown)
		if _, ok := effect[Forget](s); !ok {
			t.Error("it is not forgotten")
		}
	})
}

func TestChangeUndone(t *testing.T) {
	t.Run("UP-12 a request has the change undone, and is done then", func(t *testing.T) {
		interrupted := wasRolledBack
		interrupted.Err = plugin.ErrInterrupted
		stopped := interrupted
		stopped.Status = plugin.StatusFailed
		for name, test := range map[string]struct {
			request      Fact
			leaveStopped bool
			done         plugin.ChangeResult
			phase        PhaseKind
			state        plugin.State
			verb         messages.AttemptKind
		}{
			"stop":                          {operStop, true, stopped, Stopped, plugin.StateStopped, 0},
			"stop, the change was too far":  {operStop, true, wasUpgraded, Stopping, plugin.StateStopping, messages.KindStop},
			"stop, nothing was touched yet": {operStop, true, notTouched, Stopping, plugin.StateStopping, messages.KindStop},
			"restart":                       {operRestart, false, interrupted, Waiting, plugin.StateStarting, messages.KindRestart},
			"restart, and it is down":       {operRestart, false, stopped, Waiting, plugin.StateStarting, messages.KindRestart},
			"start":                         {operStart, false, interrupted, Running, plugin.StateRunning, 0},
			"start, and it is down":         {operStart, false, stopped, Waiting, plugin.StateStarting, messages.KindStart},
			"remove":                        {Fact{Kind: OperatorChange, Request: plugin.RequestRemove}, true, interrupted, Running, plugin.StateRunning, 0},
			"roll back":                     {Fact{Kind: OperatorChange, Request: plugin.RequestRollback}, false, interrupted, Running, plugin.StateRunning, 0},
			"cancel":                        {Fact{Kind: OperatorChange, Request: plugin.RequestCancel}, false, interrupted, Running, plugin.StateRunning, 0},
		} {
			t.Run(name, func(t *testing.T) {
				s := newChanging(t).tell(test.request).want(Changing, plugin.StateUpgrading)
				if e, ok := effect[InterruptChange](s); !ok || e.LeaveStopped != test.leaveStopped {
					t.Errorf("%+v", s.effects)
				}
				if e, ok := effect[Save](s); !ok || !e.Sync || s.l.Record.Requested == plugin.RequestNone {
					t.Errorf("saved %+v %+v", e, s.l.Record)
				}
				s.tell(s.completed(test.done)).want(test.phase, test.state)
				if s.l.Record.Requested != plugin.RequestNone || s.l.Record.StopPending != (test.phase == Stopping) {
					t.Errorf("%+v", s.l.Record)
				}
				switch {
				case test.phase == Waiting || test.phase == Stopping:
					s.spawned(test.verb)
				case s.l.AttemptID() != 0:
					t.Errorf("%+v", s.effects)
				}
			})
		}
	})
	t.Run("UP-12 a stop holds when another request comes after it", func(t *testing.T) {
		s := newChanging(t).tell(operStop, Fact{Kind: OperatorChange, Request: plugin.RequestCancel})
		s.tell(s.completed(wasUpgraded)).want(Stopping, plugin.StateStopping)
	})
	t.Run("UP-12 EV-14 stopped during a change: not restarted when it exits", func(t *testing.T) {
		s := newChanging(t).tell(operStop, exits(2))
		s.tell(s.completed(wasRolledBack)).want(Stopped, plugin.StateStopped)
	})
	t.Run("UP-12 an earlier process was told to stop it: what it left is undone", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{Stopped: true, StopPending: true, Requested: plugin.RequestStop, RunningSince: moment(0)})
		resume := granted
		resume.Change.Kind, resume.Change.Origin = plugin.ChangeResume, plugin.FromRecovery
		if e, ok := effect[InterruptChange](s.tell(resume)); !ok || !e.LeaveStopped {
			t.Errorf("%+v", s.effects)
		}
	})
}

func TestChange(t *testing.T) {
	t.Run("SC-17 the record of one that waits for its change is gone", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).tell(seenDead, granted, Fact{Kind: RecordGone})
		if _, ok := effect[ReportRemoved](s); !ok {
			t.Errorf("%+v", s.effects)
		}
		if e, _ := effect[ApplyChange](s.tell(cancelled).want(Changing, plugin.StateUpgrading)); e.Before != plugin.StatusUnknown {
			t.Errorf("before %s", e.Before)
		}
	})
	t.Run("PL-08 the beats of before do not count after a change", func(t *testing.T) {
		for name, done := range map[string]plugin.ChangeResult{"upgraded": wasUpgraded, "failed": notProven, "rolled back": wasRolledBack} {
			s := newRunning(t).beats(0, true).tell(granted).pass(2 * minute)
			s.tell(s.completed(done))
			if got := s.l.PullStatus(s.now); got != plugin.StatusRunning {
				t.Errorf("%s: status %s by an old beat", name, got)
			}
		}
	})
	t.Run("EV-18 how long it took is measured", func(t *testing.T) {
		s := newChanging(t)
		since := s.now.Wall
		s.pass(time.Second)
		s.tell(s.completed(plugin.ChangeResult{Status: plugin.StatusRemoved}))
		if e, ok := effect[Measure](s); !ok || e.What != plugin.MeasureUpgrade || !e.From.Equal(since) {
			t.Errorf("%+v", e)
		}
	})
}
