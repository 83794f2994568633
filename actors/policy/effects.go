package policy

import (
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// Effect is something that a transition brings about. The Coordinator saves
// what changed first, and carries the effects out in order after that (EV-11).
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
	// Save writes the durable record of the plugin; Sync: on the disk itself,
	// before anything is done about it.
	Save struct{ Sync bool }
	// Forget drops the plugin and its durable record.
	Forget struct{}
	// Spawn makes the one Restarter of the plugin.
	Spawn struct {
		Attempt  messages.Attempt
		Operator bool // not bounded by the restart budget
	}
	// Cancel ends an attempt.
	Cancel struct {
		Attempt uint64
		Begun   bool
	}
	// Release gives the slot of an attempt back that has ended.
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
	// ReportRemoved says that the plugin is no longer installed: what is pending of
	// it becomes REMOVED, and unless it is Still installed as another type, what the
	// control plane knows of it too (EV-22).
	ReportRemoved struct{ Still bool }
	// Arm sets a timer of the plugin; Disarm stops it.
	Arm struct {
		Timer TimerKind
		After time.Duration
	}
	// Disarm stops a timer of the plugin.
	Disarm struct{ Timer TimerKind }
	// CountFailure adds to the failures of the host (EV-13).
	CountFailure struct{}
	// CountExit, CountRestart and CountFailedRestart count for status.
	CountExit struct{}
	// CountRestart counts a restart.
	CountRestart struct{}
	// CountFailedRestart counts a failed attempt.
	CountFailedRestart struct{}
	// Measure reports a span of time (EV-18).
	Measure struct {
		What plugin.Measure
		From time.Time
	}
	// Recovered says that the plugin was healthy for long enough to forget its
	// failures (RS-05).
	Recovered struct{ Failures int }
	// ApplyChange lets the Upgrader touch the plugin.
	ApplyChange struct {
		Change plugin.Change
		Before plugin.Status
	}
	// InterruptChange has the change undone that is being made (UP-12).
	InterruptChange struct {
		Change       plugin.Change
		LeaveStopped bool
	}
	// WatchChanged says that other processes or heartbeats are to be watched.
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
