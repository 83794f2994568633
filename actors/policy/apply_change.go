package policy

import (
	"fmt"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// beginChange lets the Upgrader touch the plugin.
func beginChange(t *turn) {
	applyChange(t, t.f.Change, t.statusNow(), t.l.phase)
}

// statusNow returns the status of the plugin when a change is granted: a plugin
// that ran and is being restarted for the first time counts as running (UP-13).
func (t *turn) statusNow() plugin.Status {
	l := t.l
	if !l.isSupervised() {
		return plugin.StatusUnknown
	}
	switch ph := l.phase.(type) {
	case running, degraded:
		return plugin.StatusRunning
	case waiting, working:
		if l.ran && l.Record.Failures == 0 {
			return plugin.StatusRunning
		}
		return plugin.StatusFailed
	case cancelling:
		if ph.then.kind == thenRunning || l.ran && l.Record.Failures == 0 {
			return plugin.StatusRunning
		}
		return plugin.StatusFailed
	case stopped, stopping:
		return plugin.StatusFailed
	default:
		return plugin.StatusUnknown
	}
}

// cancelForChange cancels the attempt; the change follows.
func cancelForChange(t *turn) {
	t.cancelAttempt(then{kind: thenChange, change: t.f.Change, before: t.statusNow(), was: installed{}})
}

// changeAfterCancel lets a change follow the attempt that is being cancelled.
func changeAfterCancel(t *turn) {
	next := then{kind: thenChange, change: t.f.Change, before: t.statusNow(), was: installed{}}
	if t.l.isLeaving() {
		next.before, next.was = plugin.StatusUnknown, removed{}
	}
	t.replaceThen(next)
}

// dropChange forgets a change that waited for a cancelled attempt.
func dropChange(t *turn) {
	if t.l.isLeaving() {
		t.replaceThen(then{kind: thenRemoved, cause: "no longer installed"})
		return
	}
	t.replaceThen(thenResume(t, "its change was cancelled"))
}

// applyChange grants the change: from here on only the Upgrader touches the
// plugin (UP-10).
func applyChange(t *turn, c plugin.Change, before plugin.Status, was phase) {
	t.disarmAll()
	t.moveTo(changing{change: c, before: was}, c.String())
	if t.l.Record.Stopped && c.StartsPlugin() { // an earlier supervisor process accepted the stop (UP-12)
		t.emit(InterruptChange{Change: c, LeaveStopped: true})
	}
	t.emit(ApplyChange{Change: c, Before: before})
}

// interruptChange stores an operator's command and has the change undone first
// (UP-12).
func interruptChange(t *turn) {
	ph, r := t.l.phase.(changing), &t.l.Record
	switch t.f.Kind {
	case OperatorStop:
		noteCommand(t)
		r.Requested = plugin.RequestStop
	case OperatorStart:
		noteCommand(t)
		r.Requested = plugin.RequestStart
	case OperatorRestart:
		noteCommand(t)
		r.Requested = plugin.RequestRestart
	default:
		r.Requested = t.f.Request
		t.addEntry(plugin.Entry{Kind: plugin.EntryOperator, Cause: t.f.Cause})
		t.saveRecordSynced()
	}
	t.emit(InterruptChange{Change: ph.change, LeaveStopped: r.Stopped || r.Requested == plugin.RequestRemove})
	t.l.next, t.l.nextAt = string(r.Requested), t.env.Now.Wall
}

// completeChange handles the result of a change. The latest fact decides about
// the state of the plugin (UP-13).
func completeChange(t *turn) {
	l, ph, done := t.l, t.l.phase.(changing), t.f.Result
	l.recordAt = t.env.Seq
	if done.Plugin.Name != "" {
		if l.Plugin.Version != done.Plugin.Version {
			l.beat = heartbeat{}
		}
		l.Plugin = done.Plugin
	}
	t.emit(WatchChanged{})
	t.emit(Measure{plugin.MeasureUpgrade, l.since})
	_, absent := ph.before.(removed)
	cause := DescribeChange(t.f.Change, done, !absent)
	t.addEntry(plugin.Entry{Kind: plugin.EntryUpgrade, Cause: cause, Failed: done.Err != nil, Output: done.Output})
	request := l.Record.Requested
	if request != plugin.RequestNone {
		l.Record.Requested = plugin.RequestNone
		t.saveRecord()
	}
	switch {
	case done.Status == plugin.StatusRemoved || done.Plugin.Removed:
		t.emit(Report{Status: plugin.StatusRemoved, SysTag: done.SysTag})
		t.forgetPlugin(cause)
		return
	case absent && done.Plugin.Name == "": // it is still not installed
		t.forgetPlugin(cause)
		return
	}
	settleChange(t, ph, cause, request)
	if done.Status != plugin.StatusUnknown {
		t.emit(Report{Status: t.statusAfter(), SysTag: done.SysTag})
	}
}

// settleChange sets the next phase after a change: by the command r that an
// operator gave meanwhile, or by the status of the plugin.
func settleChange(t *turn, ph changing, cause string, r plugin.Request) {
	l, done := t.l, t.f.Result
	if done.Status == plugin.StatusInstalled || !l.isSupervised() {
		t.leaveRunning()
		forgetStop(t)
		t.moveTo(installed{}, cause)
		return
	}
	runs := done.Status == plugin.StatusRunning
	switch before := ph.before.(type) {
	case running, degraded:
		if done.Status == plugin.StatusUnknown { // the plugin was not touched
			runs = true
			t.moveTo(before, cause)
			t.armHealthy()
		}
	}
	if done.Status == plugin.StatusRunning {
		l.Record.Last, l.beat = t.f.At, heartbeat{}
		t.f.Outcome = done.Outcome
		t.enterStarted(uptime{since: t.f.At, unproven: true}, cause)
	}
	// A plugin that runs by the result may have exited since.
	exited := runs && ph.exit != nil && ph.exit.RunID >= max(done.RunID, l.run)
	if exited {
		l.run, l.processes = ph.exit.RunID, nil
	}
	down := exited || done.Status == plugin.StatusFailed
	switch {
	case l.Record.Stopped && (down || !runs && !l.Record.StopPending):
		t.leaveRunning()
		t.finishStop()
		t.moveTo(stopped{}, l.Record.Cause)
	case l.Record.Stopped:
		spawnCommand(t, messages.KindStop, false)
	case r == plugin.RequestRestart:
		spawnCommand(t, messages.KindRestart, false)
	case r == plugin.RequestStart && (exited || !runs):
		spawnCommand(t, messages.KindStart, false)
	case exited:
		t.f = Fact{Kind: Exited, Exit: *ph.exit, Result: done}
		decideAfterExit(t)
	case down:
		t.restartAfter(messages.KindStart, cause, true)
	case done.Status == plugin.StatusUnknown:
		switch _, wasLeft := ph.before.(left); {
		case wasLeft:
			t.moveTo(ph.before, cause)
		case !runs:
			t.moveTo(installed{}, cause)
		}
		t.emit(Check{})
	}
}

// forgetStop clears an operator's stop of a plugin that is no longer supervised.
func forgetStop(t *turn) {
	if r := &t.l.Record; r.Stopped {
		r.Stopped, r.StopPending = false, false
		t.saveRecord()
	}
}

// statusAfter returns the status that is reported after a change.
func (t *turn) statusAfter() plugin.Status {
	switch t.l.phase.(type) {
	case running, degraded:
		return plugin.StatusRunning
	case installed:
		return t.f.Result.Status
	default:
		return plugin.StatusFailed
	}
}

// DescribeChange returns the result of a change in words; installed reports
// whether the plugin was installed before.
func DescribeChange(c plugin.Change, done plugin.ChangeResult, installed bool) string {
	what := "upgrade to " + c.Version
	switch {
	case c.Kind == plugin.ChangeRollback:
		what = "rollback"
	case c.Kind == plugin.ChangeRemove:
		what = "removal"
	case !installed:
		what = "installation of " + c.Version
	}
	note := ""
	if done.Note != "" {
		note = "; " + done.Note
	}
	switch {
	case done.Err == nil && c.Kind == plugin.ChangeRemove:
		return "removed by an operator" + note
	case done.Err == nil:
		return done.Summary()
	case done.RolledBack:
		return what + " " + done.Cause() + note
	default:
		return fmt.Sprintf("%s failed: %s%s", what, done.Cause(), note)
	}
}
