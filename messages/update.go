package messages

import (
	"time"

	"pluginsupervisor/plugin"
)

type (
	// CheckUpdates orders the Upgrader to ask the control plane for updates.
	CheckUpdates struct{ Gen uint64 }
	// UpdatesOffered completes the order.
	UpdatesOffered struct {
		Gen     uint64
		At      time.Time
		Asked   int // plugins in the request; 0: no request was needed (UP-01)
		Updates plugin.Updates
		Handled []plugin.Change // of Updates: handled by the update handler, in order (UP-05)
		Err     error           // of the database, of the request after its retries, or of the answer (UP-01, UP-03, UP-04)
	}
	// Fetch orders the Upgrader to fetch and verify the package of a change while
	// the plugin runs (UP-11). Several changes may be fetched at once.
	Fetch struct{ Change plugin.Change }
	// Fetched completes it. After an error nothing of it is kept.
	Fetched struct {
		Change plugin.Change
		At     time.Time
		Err    error
	}
	// CancelFetch orders the Upgrader to cancel a fetch, or to discard the package
	// of a change that will not be made. A cancelled fetch is still answered with
	// Fetched, with an error.
	CancelFetch struct{ Change plugin.Change }
	// ApplyChange orders the Upgrader to make a change that was fetched. The
	// Coordinator sends it when nothing else touches the plugin (UP-10).
	ApplyChange struct {
		Change       plugin.Change
		StatusBefore plugin.Status // of the plugin when this is sent (UP-13)
	}
	// InterruptChange orders the Upgrader to undo a change that is being made, for
	// an operator's command (UP-12). It may come before ApplyChange of the same
	// change, and then takes effect when that begins.
	InterruptChange struct {
		Change       plugin.Change
		LeaveStopped bool // the old version is not started
	}
	// ChangeCompleted completes an ApplyChange.
	ChangeCompleted struct {
		Change plugin.Change
		At     time.Time
		Result plugin.ChangeResult
	}
)

// IgnoreDeadLetterLogging marks the message, see ClockStepped.
func (UpdatesOffered) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging marks the message, see ClockStepped.
func (Fetched) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging marks the message, see ClockStepped.
func (ChangeCompleted) IgnoreDeadLetterLogging() {}
