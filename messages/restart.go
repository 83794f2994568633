package messages

import (
	"time"

	"pluginsupervisor/plugin"
)

// AttemptKind is the verb of an attempt.
type AttemptKind uint8

// The kinds of attempt.
const (
	KindStart   AttemptKind = iota // `--start`
	KindRestart                    // `--stop`, kill of its remaining processes, `--start` (PL-17)
	KindStop                       // `--stop`, requested by an operator
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

// Attempt is the order of a Restarter: one start, restart or stop of one plugin.
type Attempt struct {
	ID             uint64
	Plugin         plugin.Plugin
	Kind           AttemptKind
	Delay          time.Duration // how long to wait first (RS-01, RS-05)
	Force          bool          // the start does not wait for the name lock (RS-11)
	CheckFirst     bool          // run `--status` before the verb: a plugin must not be started or stopped twice
	ConfirmRunning bool          // with CheckFirst: no process of it was found, so `--status` has to say running for 2 s (EV-07)
}

type (
	// SlotRequested asks the Coordinator for a slot when Delay has passed (RS-03).
	SlotRequested struct {
		Attempt uint64
		Key     string
	}
	// CheckRequested asks for a slot again, to run `--status` after the verb. Plugins
	// that are not started yet go first.
	CheckRequested struct {
		Attempt uint64
		Key     string
	}
	// SlotGranted allows the Restarter to run its verb, or `--status` after it.
	SlotGranted struct{ Attempt uint64 }
	// SlotReturned returns the slot early, because the verb takes long (RS-03).
	SlotReturned struct{ Attempt uint64 }
	// RestartSucceeded completes an attempt: the plugin runs, or is stopped.
	RestartSucceeded struct {
		Attempt uint64
		Key     string
		Kind    AttemptKind
		At      time.Time
		Outcome plugin.Outcome
		Probe   plugin.Probe // of `--status` afterwards (RS-06)
	}
	// RestartFailed completes an attempt that failed.
	RestartFailed struct {
		Attempt uint64
		Key     string
		Kind    AttemptKind
		At      time.Time
		Outcome plugin.Outcome
		Probe   plugin.Probe
		Cause   string
		// HostFault reports whether the host could not run the verb, or `--status`
		// after it. That is no failure of the plugin, and is retried (EV-24).
		HostFault bool
	}
	// Cancel orders a Restarter to stop. A verb that runs is killed with its process tree.
	Cancel struct{ Attempt uint64 }
	// RestartCancelled answers Cancel when the attempt's process tree has exited.
	// Nothing else may touch the plugin before (RS-09).
	RestartCancelled struct {
		Attempt uint64
		Key     string
		At      time.Time
	}
)

// IgnoreDeadLetterLogging marks the message: the Restarter may have stopped.
func (SlotGranted) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging marks the message: the Restarter may have stopped.
func (Cancel) IgnoreDeadLetterLogging() {}
