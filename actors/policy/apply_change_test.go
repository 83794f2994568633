package policy

import (
	"errors"
	"testing"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// The results of the changes in these tests.
var (
	leftRunning      = plugin.Outcome{RunID: 2, Processes: daemon}
	verbFailed       = plugin.Outcome{Err: errors.New("exit 3")}
	resultUpgraded   = plugin.ChangeResult{Outcome: leftRunning, Plugin: version2(), Previous: "1.0", Status: plugin.StatusRunning}
	resultUnproven   = plugin.ChangeResult{Outcome: verbFailed, Plugin: version2(), Previous: "1.0", Status: plugin.StatusFailed}
	resultRolledBack = plugin.ChangeResult{Outcome: verbFailed, Plugin: persist(1, "a"), Status: plugin.StatusRunning, RolledBack: true}
	resultUntouched  = plugin.ChangeResult{Outcome: verbFailed, Plugin: persist(1, "a")}
)

// newChanging returns a plugin that is being changed.
func newChanging(t *testing.T) *subject {
	return newRunning(t).apply(granted).want(Changing, plugin.StateUpgrading)
}

func TestChangeGranted(t *testing.T) {
	t.Run("UP-10 facts about the plugin have no effect meanwhile", func(t *testing.T) {
		s := newChanging(t)
		for _, f := range []Fact{
			seenDead, seenRunning, {Kind: HeartbeatLate}, {Kind: RecordGone}, {Kind: Recorded, Plugin: version2()}, {Kind: RefreshDue}, {Kind: HealthFailed},
		} {
			if s.apply(f).want(Changing, plugin.StateUpgrading); len(s.effects) != 0 {
				t.Errorf("%s: %+v", f.Kind, s.effects)
			}
		}
	})
	t.Run("UP-10 granted when the current attempt has stopped", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenDead, begun, granted).want(Cancelling, plugin.StateUpgrading)
		if _, ok := effect[ApplyChange](s); ok {
			t.Error("the change is made while the start runs")
		}
		if e, ok := effect[ApplyChange](s.apply(cancelled).want(Changing, plugin.StateUpgrading)); !ok || e.Change != granted.Change {
			t.Errorf("%+v", s.effects)
		}
	})
	t.Run("UP-12 cancelled before that: the attempt is made again", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenDead, begun, granted, Fact{Kind: ChangeDropped}, cancelled)
		s.want(Waiting, plugin.StateStarting).wantSpawn(messages.KindStart)
	})
}

func TestChangeStatus(t *testing.T) {
	t.Run("UP-13 the status at the grant", func(t *testing.T) {
		for name, test := range map[string]struct {
			s    *subject
			want plugin.Status
		}{
			"runs":                            {newRunning(t), plugin.StatusRunning},
			"degraded":                        {newRunning(t).apply(Fact{Kind: HealthFailed}), plugin.StatusRunning},
			"ran, its restart waits":          {newRunning(t).apply(exitOf(1)), plugin.StatusRunning},
			"ran, its restart waits, seen up": {newRunning(t).apply(exitOf(1), seenRunning), plugin.StatusRunning},
			"never ran":                       {newSubject(t, plugin.RestartRecord{}).apply(seenDead), plugin.StatusFailed},
			"crash loop":                      {newRunning(t).apply(exitOf(1), begun, startFails), plugin.StatusFailed},
			"not checked yet":                 {newSubject(t, plugin.RestartRecord{}), plugin.StatusUnknown},
		} {
			s := test.s.apply(granted)
			if s.l.AttemptID() != 0 {
				s.apply(cancelled)
			}
			if e, _ := effect[ApplyChange](s); e.Before != test.want {
				t.Errorf("%s: before %s, want %s", name, e.Before, test.want)
			}
		}
	})
	t.Run("UP-13 a start that succeeds though it was cancelled for a change counts as running", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenDead, begun, granted)
		if e, _ := effect[ApplyChange](s.apply(s.startSucceeds(1))); e.Before != plugin.StatusRunning {
			t.Errorf("status at the grant %s, want %s", e.Before, plugin.StatusRunning)
		}
	})
	t.Run("UP-13 the state after a change", func(t *testing.T) {
		for name, test := range map[string]struct {
			done   plugin.ChangeResult
			exit   uint64 // of a run, while it was changed
			phase  PhaseKind
			state  plugin.State
			report plugin.Status
		}{
			"it runs":                           {resultUpgraded, 0, Running, plugin.StateRunning, plugin.StatusRunning},
			"the old version exited for it":     {resultUpgraded, 1, Running, plugin.StateRunning, plugin.StatusRunning},
			"exited at the end":                 {resultUpgraded, 2, Waiting, plugin.StateCrashLoop, plugin.StatusFailed},
			"the new version failed":            {resultUnproven, 0, Waiting, plugin.StateStarting, plugin.StatusFailed},
			"rolled back":                       {resultRolledBack, 0, Running, plugin.StateRunning, plugin.StatusRunning},
			"rolled back, and exited":           {resultRolledBack, 2, Waiting, plugin.StateCrashLoop, plugin.StatusFailed},
			"not touched":                       {resultUntouched, 0, Running, plugin.StateRunning, plugin.StatusUnknown},
			"not touched, and exited meanwhile": {resultUntouched, 1, Waiting, plugin.StateStarting, plugin.StatusUnknown},
			"removed":                           {plugin.ChangeResult{Status: plugin.StatusRemoved}, 0, Removed, plugin.StateRemoved, plugin.StatusRemoved},
			"a Once plugin now":                 {plugin.ChangeResult{Plugin: once(1, "a"), Status: plugin.StatusInstalled}, 0, Installed, plugin.StateInstalled, plugin.StatusInstalled},
		} {
			t.Run(name, func(t *testing.T) {
				s := newChanging(t)
				if test.exit > 0 {
					s.apply(exitOf(test.exit)).want(Changing, plugin.StateUpgrading)
				}
				s.apply(s.completed(test.done)).want(test.phase, test.state).wantReport(test.report)
				if test.phase == Waiting {
					s.wantSpawn(messages.KindStart)
				}
				if exited := test.phase == Waiting && test.exit > 0; exited != (s.l.Record.Cause == "exit 3") {
					t.Errorf("cause %q", s.l.Record.Cause)
				}
				if _, asked := effect[Check](s); asked != (name == "not touched") {
					t.Errorf("--status is run: %v, want %v", asked, name == "not touched")
				}
			})
		}
	})
	t.Run("UP-13 a plugin that was not installed", func(t *testing.T) {
		absent := func(t *testing.T) *subject {
			s := newSubject(t, plugin.RestartRecord{})
			s.l = NewAbsent(plugin.Plugin{Name: "a", Version: "2.0", Type: plugin.Unknown}, epoch)
			return s.apply(granted).want(Changing, plugin.StateUpgrading)
		}
		s := absent(t)
		s.apply(s.completed(resultUpgraded)).want(Running, plugin.StateRunning).wantReport(plugin.StatusRunning)
		s = absent(t)
		s.apply(s.completed(resultUnproven)).want(Waiting, plugin.StateStarting).wantReport(plugin.StatusFailed)
		s = absent(t)
		s.apply(s.completed(plugin.ChangeResult{Outcome: verbFailed})).want(Removed, plugin.StateRemoved).wantReport(plugin.StatusUnknown)
		if _, ok := effect[Forget](s); !ok {
			t.Error("the plugin is not forgotten")
		}
	})
}

func TestChangeUndone(t *testing.T) {
	t.Run("UP-12 a command has the change undone, and is carried out then", func(t *testing.T) {
		interrupted := resultRolledBack
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
			"stop, the change was finished": {operStop, true, resultUpgraded, Stopping, plugin.StateStopping, messages.KindStop},
			"stop, nothing was touched yet": {operStop, true, resultUntouched, Stopping, plugin.StateStopping, messages.KindStop},
			"restart":                       {operRestart, false, interrupted, Waiting, plugin.StateStarting, messages.KindRestart},
			"restart, and it is down":       {operRestart, false, stopped, Waiting, plugin.StateStarting, messages.KindRestart},
			"start":                         {operStart, false, interrupted, Running, plugin.StateRunning, 0},
			"start, and it is down":         {operStart, false, stopped, Waiting, plugin.StateStarting, messages.KindStart},
			"remove":                        {Fact{Kind: OperatorChange, Request: plugin.RequestRemove}, true, interrupted, Running, plugin.StateRunning, 0},
			"roll back":                     {Fact{Kind: OperatorChange, Request: plugin.RequestRollback}, false, interrupted, Running, plugin.StateRunning, 0},
			"cancel":                        {Fact{Kind: OperatorChange, Request: plugin.RequestCancel}, false, interrupted, Running, plugin.StateRunning, 0},
		} {
			t.Run(name, func(t *testing.T) {
				s := newChanging(t).apply(test.request).want(Changing, plugin.StateUpgrading)
				if e, ok := effect[InterruptChange](s); !ok || e.LeaveStopped != test.leaveStopped {
					t.Errorf("%+v", s.effects)
				}
				if e, ok := effect[Save](s); !ok || !e.Sync || s.l.Record.Requested == plugin.RequestNone {
					t.Errorf("saved %+v %+v", e, s.l.Record)
				}
				s.apply(s.completed(test.done)).want(test.phase, test.state)
				if s.l.Record.Requested != plugin.RequestNone || s.l.Record.StopPending != (test.phase == Stopping) {
					t.Errorf("%+v", s.l.Record)
				}
				switch {
				case test.phase == Waiting || test.phase == Stopping:
					s.wantSpawn(test.verb)
				case s.l.AttemptID() != 0:
					t.Errorf("%+v", s.effects)
				}
			})
		}
	})
	t.Run("UP-12 a stop holds when another request comes after it", func(t *testing.T) {
		s := newChanging(t).apply(operStop, Fact{Kind: OperatorChange, Request: plugin.RequestCancel})
		s.apply(s.completed(resultUpgraded)).want(Stopping, plugin.StateStopping)
	})
	t.Run("UP-12 EV-14 stopped during a change: not restarted when it exits", func(t *testing.T) {
		s := newChanging(t).apply(operStop, exitOf(2))
		s.apply(s.completed(resultRolledBack)).want(Stopped, plugin.StateStopped)
	})
	t.Run("UP-12 an earlier process accepted a stop: its change is undone", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{Stopped: true, StopPending: true, Requested: plugin.RequestStop, RunningSince: moment(0)})
		resume := granted
		resume.Change.Kind, resume.Change.Origin = plugin.ChangeResume, plugin.FromRecovery
		if e, ok := effect[InterruptChange](s.apply(resume)); !ok || !e.LeaveStopped {
			t.Errorf("%+v", s.effects)
		}
	})
}

func TestChange(t *testing.T) {
	t.Run("SC-17 the record of one that waits for its change is gone", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenDead, granted, Fact{Kind: RecordGone})
		if _, ok := effect[ReportRemoved](s); !ok {
			t.Errorf("%+v", s.effects)
		}
		if e, _ := effect[ApplyChange](s.apply(cancelled).want(Changing, plugin.StateUpgrading)); e.Before != plugin.StatusUnknown {
			t.Errorf("before %s", e.Before)
		}
	})
	t.Run("PL-08 earlier heartbeats do not count after a change", func(t *testing.T) {
		for name, done := range map[string]plugin.ChangeResult{"upgraded": resultUpgraded, "failed": resultUnproven, "rolled back": resultRolledBack} {
			s := newRunning(t).heartbeat(0, true).apply(granted).advance(2 * minute)
			s.apply(s.completed(done))
			if got := s.l.PullStatus(s.now); got != plugin.StatusRunning {
				t.Errorf("%s: status %s by an old heartbeat, want %s", name, got, plugin.StatusRunning)
			}
		}
	})
	t.Run("EV-18 its duration is measured", func(t *testing.T) {
		s := newChanging(t)
		since := s.now.Wall
		s.advance(time.Second)
		s.apply(s.completed(plugin.ChangeResult{Status: plugin.StatusRemoved}))
		if e, ok := effect[Measure](s); !ok || e.What != plugin.MeasureUpgrade || !e.From.Equal(since) {
			t.Errorf("%+v", e)
		}
	})
}
