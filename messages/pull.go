package messages

import (
	"time"

	"pluginsupervisor/plugin"
)

type (
	// Pull orders the Puller to read the heartbeats of all Persist plugins.
	Pull struct{ Gen uint64 }
	// PullCompleted completes the order. A heartbeat that is missing or unreadable is a value (PL-06, PL-07).
	PullCompleted struct {
		Gen        uint64
		At         time.Time // "now" for the ages of the heartbeats
		List       plugin.List
		Heartbeats []plugin.Heartbeat
		Err        error // the plugin database could not be read (PL-04)
	}
)

// IgnoreDeadLetterLogging marks the message, see ClockStepped.
func (PullCompleted) IgnoreDeadLetterLogging() {}
