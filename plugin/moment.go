package plugin

import (
	"encoding/json"
	"time"
)

// Moment is a point in time on two clocks: the wall clock, which can be set, and
// the time since boot, which only grows and includes time suspended.
type Moment struct {
	Wall   time.Time     `json:"wall,omitzero"`
	BootID string        `json:"boot,omitempty"`  // boot id of the host; "" where it is not known
	Uptime time.Duration `json:"uptime,omitzero"` // since that boot
}

// IsZero reports whether m is unset.
func (m Moment) IsZero() bool { return m.Wall.IsZero() }

// Sub returns the time from earlier to m, never negative. Within one boot it
// ignores the wall clock; over a reboot only the wall clock is known.
func (m Moment) Sub(earlier Moment) time.Duration {
	if m.BootID != "" && m.BootID == earlier.BootID {
		return max(m.Uptime-earlier.Uptime, 0)
	}
	return max(m.Wall.Sub(earlier.Wall), 0)
}

// Add returns the moment d after m.
func (m Moment) Add(d time.Duration) Moment {
	return Moment{Wall: m.Wall.Add(d), BootID: m.BootID, Uptime: m.Uptime + d}
}

// After reports whether m is later than other.
func (m Moment) After(other Moment) bool {
	if m.BootID != "" && m.BootID == other.BootID {
		return m.Uptime > other.Uptime
	}
	return m.Wall.After(other.Wall)
}

// Equal reports whether both are the same moment.
func (m Moment) Equal(other Moment) bool {
	return m.Wall.Equal(other.Wall) && m.BootID == other.BootID && m.Uptime == other.Uptime
}

// UnmarshalJSON reads a moment, or the wall time alone as earlier versions wrote
// it.
func (m *Moment) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*m = Moment{}
		return json.Unmarshal(b, &m.Wall)
	}
	type fields Moment
	return json.Unmarshal(b, (*fields)(m))
}
