package policy

import (
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// turn is one application of a fact to a plugin.
type turn struct {
	l           *Lifecycle
	env         Env
	f           Fact
	state       plugin.State // the last one that was published
	out         []Effect
	dirty, sync bool
}

func (t *turn) emit(e Effect) { t.out = append(t.out, e) }

// saveRecord has the durable record saved.
func (t *turn) saveRecord() { t.dirty = true }

// saveRecordSynced has the record saved and synced to the disk, for an operator's
// command.
func (t *turn) saveRecordSynced() { t.dirty, t.sync = true, true }

// addEntry adds an entry to the journal.
func (t *turn) addEntry(e plugin.Entry) { t.emit(Note{e}) }

// moveTo changes the phase; nothing else does. It clears the planned next step,
// which is set after it.
func (t *turn) moveTo(to phase, cause string) {
	l := t.l
	l.phase = to
	l.why, l.next, l.nextAt = cause, "", time.Time{}
	if state := l.State(); state != t.state {
		l.since = t.env.Now.Wall
		t.emit(Moved{From: t.state, To: state, Cause: cause})
		t.state = state
	}
}

func ignoreFact(t *turn) {}

// isSupervised reports whether the supervisor starts the plugin: it is a Persist one
// and no duplicate (ST-10).
func (l *Lifecycle) isSupervised() bool {
	return l.Plugin.Type == plugin.Persist && !l.Plugin.Duplicate
}

func (a attempt) isStart() bool { return a.id != 0 && a.verb == messages.KindStart }

// uptime returns the uptime of a plugin that runs, else the zero value.
func (t *turn) uptime() uptime {
	switch ph := t.l.phase.(type) {
	case running:
		return ph.uptime
	case degraded:
		return ph.uptime
	default:
		return uptime{}
	}
}
