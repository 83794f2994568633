package plugin

import "fmt"

// Status is the status of a plugin in reports. The values on the wire
// (PERSIST_RUNNING …) are in internal/control only.
type Status uint8

// The statuses. The zero value is unknown and is never sent.
const (
	StatusUnknown   Status = iota
	StatusRunning          // a daemon that runs
	StatusFailed           // a daemon that should run and does not
	StatusInstalled        // a Once plugin, which has no other status
	StatusRemoved          // no longer installed
)

func (s Status) String() string {
	switch s {
	case StatusRunning:
		return "running"
	case StatusFailed:
		return "failed"
	case StatusInstalled:
		return "installed"
	case StatusRemoved:
		return "removed"
	default:
		return "unknown"
	}
}

// MarshalText writes the status' name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a status' name.
func (s *Status) UnmarshalText(b []byte) error {
	for _, known := range []Status{StatusUnknown, StatusRunning, StatusFailed, StatusInstalled, StatusRemoved} {
		if string(b) == known.String() {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("unknown status %q", b)
}
