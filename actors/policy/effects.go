package policy

import (
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// Effect is one result of a transition. The Coordinator saves what changed, and
// then carries out the effects in order (EV-11).
type Effect interface{ isEffect() }

// TimerKind names the timers of one plugin.
type TimerKind uint8

// The timers.
const (
	TimerHealthy TimerKind = iota // fires HealthyDue
	TimerSilence                  // fires SilenceDue
	TimerRefresh                  // fires RefreshDue
)

// The effects.
type (
	// Moved says that the state of the plugin changed.
	Moved struct {
		From, To plugin.State
		Cause    string
	}
	// Note adds an entry to the journal.
	Note struct{ Entry plugin.Entry }
	// Save writes the durable record of the plugin. With Sync it is on the disk
	// before the effects are carried out.
	Save struct{ Sync bool }
	// Forget removes the plugin and its durable record.
	Forget struct{}
	// Spawn starts the one Restarter of the plugin.
	Spawn struct {
		Attempt  messages.Attempt
		Operator bool // not limited by the restart budget
	}
	// Cancel cancels an attempt.
	Cancel struct {
		Attempt uint64
		Begun   bool
	}
	// Release returns the slot of a finished attempt.
	Release struct{ Attempt uint64 }
	// Check runs `--status` of the plugin as soon as possible.
	Check struct{ Refresh bool }
	// Report makes a status pending for the control plane.
	Report struct {
		Status plugin.Status
		SysTag plugin.SysTag
		// Restarted has the plugin reported once more later (SC-25).
		Restarted bool
	}
	// ReportRemoved makes a pending status of the plugin REMOVED, because it is no
	// longer installed. Unless it is Still installed as another type, an
	// acknowledged status becomes REMOVED, too (EV-22).
	ReportRemoved struct{ Still bool }
	// Arm sets a timer of the plugin.
	Arm struct {
		Timer TimerKind
		After time.Duration
	}
	// Disarm stops a timer of the plugin.
	Disarm struct{ Timer TimerKind }
	// CountFailure adds to the failures of the host (EV-13).
	CountFailure struct{}
	// CountExit counts an exit.
	CountExit struct{}
	// CountRestart counts a restart.
	CountRestart struct{}
	// CountFailedRestart counts a failed attempt.
	CountFailedRestart struct{}
	// Measure reports the duration since From (EV-18).
	Measure struct {
		What plugin.Measure
		From time.Time
	}
	// Recovered says that the plugin was healthy for long enough to reset its
	// failures (RS-05).
	Recovered struct{ Failures int }
	// ApplyChange lets the Upgrader touch the plugin.
	ApplyChange struct {
		Change plugin.Change
		Before plugin.Status
	}
	// InterruptChange has the change in progress undone (UP-12).
	InterruptChange struct {
		Change       plugin.Change
		LeaveStopped bool
	}
	// WatchChanged says that the processes or heartbeats to watch have changed.
	WatchChanged struct{}
)

func (Moved) isEffect()              {}
func (Note) isEffect()               {}
func (Save) isEffect()               {}
func (Forget) isEffect()             {}
func (Spawn) isEffect()              {}
func (Cancel) isEffect()             {}
func (Release) isEffect()            {}
func (Check) isEffect()              {}
func (Report) isEffect()             {}
func (ReportRemoved) isEffect()      {}
func (Arm) isEffect()                {}
func (Disarm) isEffect()             {}
func (CountFailure) isEffect()       {}
func (CountExit) isEffect()          {}
func (CountRestart) isEffect()       {}
func (CountFailedRestart) isEffect() {}
func (Measure) isEffect()            {}
func (Recovered) isEffect()          {}
func (ApplyChange) isEffect()        {}
func (InterruptChange) isEffect()    {}
func (WatchChanged) isEffect()       {}
