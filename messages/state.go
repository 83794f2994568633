package messages

import (
	"fmt"
	"time"

	"pluginsupervisor/plugin"
)

// StateChanged is the one public event: a plugin changed its state. The
// Coordinator publishes it; subscribers must not block.
type StateChanged struct {
	At      time.Time
	Key     string
	Version string
	From    plugin.State
	To      plugin.State
	Cause   string
	Next    string    // the planned next step, "" if there is none
	NextAt  time.Time // time of the next step
}

func (s StateChanged) String() string {
	line := fmt.Sprintf("%s %s: %s → %s", s.Key, s.Version, s.From, s.To)
	if s.Cause != "" {
		line += " (" + s.Cause + ")"
	}
	if s.Next != "" {
		line += ", " + s.Next
	}
	return line
}
