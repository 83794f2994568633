package messages

import (
	"time"

	"pluginsupervisor/plugin"
)

type (
	// CheckUpdates orders the Upgrader to ask the control plane for updates.
	CheckUpdates struct{ Gen uint64 }
	// UpdatesOffered ends the order.
	UpdatesOffered struct {
		Gen     uint64
		At      time.Time
		Asked   int // plugins it was asked for; 0: there was nothing to ask (UP-01)
		Updates plugin.Updates
		Handled []plugin.Change // of Updates: taken over by the update handler, asked in order (UP-05)
		Err     error           // the database, the request after its retries, or the answer (UP-01, UP-03, UP-04)
	}
	// Fetch orders the Upgrader to fetch and verify what a change needs, beside
	// the running plugin (UP-11). Several may be under way, each of another
	// change.
	Fetch struct{ Change plugin.Change }
	// Fetched ends it. After an error nothing is kept of it.
	Fetched struct {
		Change plugin.Change
		At     time.Time
		Err    error
	}
	// CancelFetch orders the Upgrader to end a fetch, or to drop what was
	// fetched for a change that will not be made. A fetch that was under way is
	// still answered with Fetched, with an error.
	CancelFetch struct{ Change plugin.Change }
	// ApplyChange orders the Upgrader to make a change that was fetched. The
	// Coordinator sends it when nothing else touches the plugin (UP-10).
	ApplyChange struct {
		Change       plugin.Change
		StatusBefore plugin.Status // of the plugin at this moment (UP-13)
	}
	// InterruptChange orders the Upgrader to have a change undone that is being
	// made: an operator wants the plugin (UP-12). It may come before
	// ApplyChange of the same change, and then holds from its beginning.
	InterruptChange struct {
		Change       plugin.Change
		LeaveStopped bool // the old version is not started
	}
	// ChangeCompleted ends an ApplyChange.
	ChangeCompleted struct {
		Change plugin.Change
		At     time.Time
		Result plugin.ChangeResult
	}
)

// IgnoreDeadLetterLogging: a result may come after its receiver was stopped.
func (UpdatesOffered) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: a result may come after its receiver was stopped.
func (Fetched) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: a result may come after its receiver was stopped.
func (ChangeCompleted) IgnoreDeadLetterLogging() {}
