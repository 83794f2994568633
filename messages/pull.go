package messages

import (
	"time"

	"pluginsupervisor/plugin"
)

type (
	// Pull orders the Puller to read the heartbeats of all Persist plugins.
	Pull struct{ Gen uint64 }
	// PullCompleted ends the order. A heartbeat that is missing or unreadable is a value (PL-06, PL-07).
	PullCompleted struct {
		Gen        uint64
		At         time.Time // what "now" was for the beats
		List       plugin.List
		Heartbeats []plugin.Heartbeat
		Err        error // the plugin database could not be read (PL-04)
	}
)

// IgnoreDeadLetterLogging: a result may come after its receiver was stopped.
func (PullCompleted) IgnoreDeadLetterLogging() {}
