package plugin

import "fmt"

// State is the state of a plugin for users. It changes by the transition table of
// actors/policy only.
type State uint8

// The states. A plugin begins as StateInstalled: recorded, not checked yet.
const (
	StateInstalled State = iota
	StateStarting
	StateRunning
	StateDegraded // `--status` says running, the heartbeat is overdue
	StateStopping
	StateStopped   // by an operator: only an operator starts it
	StateCrashLoop // it failed again before it was healthy, and waits for its backoff
	StateUpgrading // its version is being switched and verified
	StateRemoving
	StateRemoved
)

// States holds all states, in the order of the constants.
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
