package plugin

import "fmt"

// State is what a plugin is doing, as the Coordinator sees it. The list is
// closed; it changes by the one transition table (actors/policy).
type State uint8

// The states. A plugin starts as StateInstalled: recorded, not yet looked at.
const (
	StateInstalled State = iota
	StateStarting
	StateRunning
	StateDegraded // `--status` says running, the heartbeat is overdue
	StateStopping
	StateStopped   // by an operator: nothing starts it but an operator
	StateCrashLoop // it failed again before it was healthy, and waits out its backoff
	StateUpgrading // its version is being switched, and the new one proved
	StateRemoving
	StateRemoved
)

// States is the closed list, in the order of the constants.
var States = [...]State{
	StateInstalled, StateStarting, StateRunning, StateDegraded, StateStopping,
	StateStopped, StateCrashLoop, StateUpgrading, StateRemoving, StateRemoved,
}

func (s State) String() string {
	switch s {
	case StateInstalled:
		return "installed"
	case StateStarting:
		return "starting"
	case StateRunning:
		return "running"
	case StateDegraded:
		return "degraded"
	case StateStopping:
		return "stopping"
	case StateStopped:
		return "stopped"
	case StateCrashLoop:
		return "crash-loop"
	case StateUpgrading:
		return "upgrading"
	case StateRemoving:
		return "removing"
	case StateRemoved:
		return "removed"
	default:
		return fmt.Sprintf("state(%d)", uint8(s))
	}
}

// MarshalText writes the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a state's name.
func (s *State) UnmarshalText(b []byte) error {
	for _, known := range States {
		if string(b) == known.String() {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("unknown state %q", b)
}
