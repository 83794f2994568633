package messages

import (
	"fmt"
	"time"

	"pluginsupervisor/plugin"
)

// StateChanged is the one public event: a plugin went from one state into
// another. The Coordinator publishes it; whoever follows must not block.
type StateChanged struct {
	At      time.Time
	Key     string
	Version string
	From    plugin.State
	To      plugin.State
	Cause   string    // what brought it about
	Next    string    // what will happen next, "" if nothing is planned
	NextAt  time.Time // and when
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
