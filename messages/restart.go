package messages

import (
	"time"

	"pluginsupervisor/plugin"
)

// AttemptKind is what a Restarter is to do.
type AttemptKind uint8

// The kinds of attempt.
const (
	KindStart   AttemptKind = iota // `--start`
	KindRestart                    // `--stop`, the end of what is left, `--start` (PL-17)
	KindStop                       // `--stop`, ordered by an operator
)

func (k AttemptKind) String() string {
	switch k {
	case KindStart:
		return "start"
	case KindRestart:
		return "restart"
	default:
		return "stop"
	}
}

// Attempt is what a Restarter is given when it is spawned: one try at one plugin.
type Attempt struct {
	ID             uint64
	Plugin         plugin.Plugin
	Kind           AttemptKind
	Delay          time.Duration // how long to wait first (RS-01, RS-05)
	Force          bool          // the start does not wait for the name lock (RS-11)
	CheckFirst     bool          // run `--status` before the verb: a plugin must never run twice, nor be stopped twice
	ConfirmRunning bool          // with Check: no process of it was found, so `--status` has to say running for 2 s before it is believed (EV-07)
}

type (
	// SlotRequested asks the Coordinator to begin now that the wait is over (RS-03).
	SlotRequested struct {
		Attempt uint64
		Key     string
	}
	// CheckRequested asks for a slot again: the verb has ended and `--status`
	// is left. Plugins that are still to be started go first.
	CheckRequested struct {
		Attempt uint64
		Key     string
	}
	// SlotGranted lets the Restarter begin its verb, or run `--status` after it.
	SlotGranted struct{ Attempt uint64 }
	// SlotReturned gives the slot back before the end, as the start takes long (RS-03).
	SlotReturned struct{ Attempt uint64 }
	// RestartSucceeded ends an attempt: the plugin runs, or after a stop does not.
	RestartSucceeded struct {
		Attempt uint64
		Key     string
		Kind    AttemptKind
		At      time.Time
		Outcome plugin.Outcome
		Probe   plugin.Probe // what `--status` said afterwards (RS-06)
	}
	// RestartFailed ends an attempt that did not do what it was for.
	RestartFailed struct {
		Attempt uint64
		Key     string
		Kind    AttemptKind
		At      time.Time
		Outcome plugin.Outcome
		Probe   plugin.Probe
		Cause   string
		// HostFault reports that the host could not run the verb, or `--status`
		// after it: that is no failure of the plugin, and tried again (EV-24).
		HostFault bool
	}
	// Cancel orders a Restarter to end: before its start if it still waits, else with its process tree.
	Cancel struct{ Attempt uint64 }
	// RestartCancelled answers Cancel when the attempt's process tree is gone;
	// only then somebody else may touch the plugin (RS-09).
	RestartCancelled struct {
		Attempt uint64
		Key     string
		At      time.Time
	}
)

// IgnoreDeadLetterLogging: the Restarter may have ended meanwhile.
func (SlotGranted) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: the Restarter may have ended meanwhile.
func (Cancel) IgnoreDeadLetterLogging() {}
