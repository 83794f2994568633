package policy

import (
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// updateRecord takes over what the database says of the plugin.
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

// cancelOldVersion ends an attempt that was meant for another version (RS-09).
func cancelOldVersion(t *turn) {
	updateRecord(t)
	a := t.l.attempt()
	next := then{what: thenRestart, verb: a.verb, cause: "version changed to " + t.f.Plugin.Version}
	if a.operator {
		next = then{what: thenCommand, verb: a.verb}
	}
	t.cancel(next)
}

// leaveSupervision ends the supervision of a plugin whose record is gone.
func leaveSupervision(t *turn) {
	t.forget("no longer installed")
	t.reportGone()
}

func (t *turn) reportGone() { t.emit(ReportGone{Still: t.f.Kind == Recorded}) }

// forget ends a plugin, with its timers and what is remembered of it.
func (t *turn) forget(cause string) {
	t.disarmAll()
	t.move(removed{}, cause)
	t.emit(WatchChanged{})
	t.emit(Forget{})
}

func cancelToLeave(t *turn) {
	t.disarmAll()
	t.cancel(then{what: thenRemoved, cause: "no longer installed"})
	t.emit(WatchChanged{})
	t.reportGone()
}

// leaveAfterCancel has the plugin forgotten when its attempt has ended.
func leaveAfterCancel(t *turn) {
	if t.l.leaving() {
		return
	}
	t.disarmAll()
	next := t.l.phase.(cancelling).then
	if next.what == thenChange { // it is made all the same: what it leaves is installed
		next.before, next.was = plugin.StatusUnknown, removed{}
	} else {
		next = then{what: thenRemoved, cause: "no longer installed"}
	}
	t.replaceThen(next)
	t.emit(WatchChanged{})
	t.reportGone()
}

// returnRecord takes back a plugin that was to be forgotten.
func returnRecord(t *turn) {
	updateRecord(t)
	next := t.l.phase.(cancelling).then
	if next.what == thenChange {
		next.was = installed{}
	} else {
		next = thenAgain(t, "installed again")
	}
	t.replaceThen(next)
	t.emit(WatchChanged{})
}

// thenAgain returns what follows a cancelled attempt when what it was
// cancelled for is not wanted any more.
func thenAgain(t *turn, cause string) then {
	if t.l.Record.Stopped {
		return then{what: thenCommand, verb: messages.KindStop}
	}
	return then{what: thenRestart, cause: cause}
}
