package policy

import (
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// updateRecord stores the plugin's record of the database.
func updateRecord(t *turn) {
	l, p := t.l, t.f.Plugin
	if l.Plugin.Version != p.Version {
		l.beat = heartbeat{}
	}
	if l.Plugin.Version != p.Version || l.Plugin.HeartbeatInterval != p.HeartbeatInterval || l.Plugin.Type != p.Type || l.Plugin.Duplicate != p.Duplicate {
		t.emit(WatchChanged{})
	}
	l.Plugin, l.recordAt = p, max(l.recordAt, t.f.Gen)
}

// cancelOldVersion cancels an attempt that was for another version (RS-09).
func cancelOldVersion(t *turn) {
	updateRecord(t)
	a := t.l.currentAttempt()
	next := then{kind: thenRestart, verb: a.verb, cause: "version changed to " + t.f.Plugin.Version}
	if a.operator {
		next = then{kind: thenCommand, verb: a.verb}
	}
	t.cancelAttempt(next)
}

// leaveSupervision ends the supervision of a plugin whose record is gone.
func leaveSupervision(t *turn) {
	t.forgetPlugin("no longer installed")
	t.reportRemoved()
}

func (t *turn) reportRemoved() { t.emit(ReportRemoved{Still: t.f.Kind == Recorded}) }

// forgetPlugin moves to removed, with the timers stopped and the record deleted.
func (t *turn) forgetPlugin(cause string) {
	t.disarmAll()
	t.moveTo(removed{}, cause)
	t.emit(WatchChanged{})
	t.emit(Forget{})
}

// cancelToLeave cancels the attempt of a plugin whose record is gone.
func cancelToLeave(t *turn) {
	t.disarmAll()
	t.cancelAttempt(then{kind: thenRemoved, cause: "no longer installed"})
	t.emit(WatchChanged{})
	t.reportRemoved()
}

// leaveAfterCancel has the plugin forgotten when its attempt has stopped.
func leaveAfterCancel(t *turn) {
	if t.l.isLeaving() {
		return
	}
	t.disarmAll()
	next := t.l.phase.(cancelling).then
	if next.kind == thenChange { // the change is still made, as an installation
		next.before, next.was = plugin.StatusUnknown, removed{}
	} else {
		next = then{kind: thenRemoved, cause: "no longer installed"}
	}
	t.replaceThen(next)
	t.emit(WatchChanged{})
	t.reportRemoved()
}

// returnRecord keeps a plugin that was to be forgotten: its record is back.
func returnRecord(t *turn) {
	updateRecord(t)
	next := t.l.phase.(cancelling).then
	if next.kind == thenChange {
		next.was = installed{}
	} else {
		next = thenResume(t, "installed again")
	}
	t.replaceThen(next)
	t.emit(WatchChanged{})
}

// thenResume returns the action after a cancelled attempt when the reason for the
// cancellation is gone.
func thenResume(t *turn, cause string) then {
	if t.l.Record.Stopped {
		return then{kind: thenCommand, verb: messages.KindStop}
	}
	return then{kind: thenRestart, cause: cause}
}
