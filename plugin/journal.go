package plugin

import (
	"fmt"
	"strings"
	"time"
)

// EntryKind names the subject of an Entry.
type EntryKind string

// All kinds.
const (
	EntryState      EntryKind = "state"      // a plugin changed state
	EntryExit       EntryKind = "exit"       // a plugin's last process exited, and what was decided
	EntryAttempt    EntryKind = "attempt"    // a start, stop or restart failed
	EntryHeartbeat  EntryKind = "heartbeat"  // a heartbeat was missed, or resumed
	EntryReport     EntryKind = "report"     // the control plane acknowledged a status
	EntryOperator   EntryKind = "operator"   // an operator's command
	EntryUpgrade    EntryKind = "upgrade"    // a change of the version, done or failed
	EntryHost       EntryKind = "host"       // many plugins at once, the disk, the clock
	EntrySupervisor EntryKind = "supervisor" // its own start and stop
)

// Entry is one line of the journal: what happened, why, what was decided, and
// what comes next (EV-12).
type Entry struct {
	Seq      uint64    `json:"seq"` // grows by one, also over restarts of the supervisor
	At       time.Time `json:"at"`
	Kind     EntryKind `json:"kind"`
	Plugin   string    `json:"plugin,omitempty"` // Key; "" is the host or the supervisor itself
	Version  string    `json:"version,omitempty"`
	From     State     `json:"from,omitzero"` // of EntryState: before …
	To       State     `json:"to,omitzero"`   // … and after
	Cause    string    `json:"cause,omitempty"`
	Decision string    `json:"decision,omitempty"`
	Failed   bool      `json:"failed,omitempty"` // of an upgrade or a removal: it failed
	Next     string    `json:"next,omitempty"`
	NextAt   time.Time `json:"nextAt,omitzero"`
	Exit     *Exit     `json:"exit,omitempty"`
	Output   string    `json:"output,omitempty"` // the end of what a verb printed, at most 4 KiB
}

// String returns the entry on one line, without its time.
func (e Entry) String() string {
	parts := []string{}
	add := func(s string) {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if e.Kind == EntryState {
		add(fmt.Sprintf("%s → %s", e.From, e.To))
	}
	add(e.Cause)
	add(e.Decision)
	add(e.Next)
	who := strings.TrimSpace(e.Plugin + " " + e.Version)
	if who == "" {
		who = string(e.Kind)
	}
	return who + ": " + strings.Join(parts, "; ")
}
