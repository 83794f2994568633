package plugin

import (
	"strconv"
	"strings"
	"time"
)

// DefaultTimeout is the deadline of a verb whose record names none (SPEC 2).
const DefaultTimeout = 60 * time.Second

// MaxTimeout is the longest deadline of a verb; a record that names a longer one gets it (SPEC 2).
const MaxTimeout = 3600 * time.Second

// DefaultHeartbeatInterval replaces an interval that is absent or not positive (SPEC 1).
const DefaultHeartbeatInterval = 60 * time.Second

// Plugin is one installed package, as recorded in the plugin database.
type Plugin struct {
	ID        uint64 // key of the record; plugins are listed in its order (ST-05)
	Name      string
	Version   string
	Type      Type
	OS        string // as recorded, any case
	Arch      string // as recorded, any case
	Publisher string
	RunPath   string // the executable, relative to the version's folder

	Timeout           time.Duration // deadline of each verb, by the rule of SPEC 2
	HeartbeatInterval time.Duration // interval between the plugin's heartbeats
	AddSysTag         bool          // the host gets the plugin's tag in reports (SPEC 3)
	Removed           bool          // only the record is left
	Duplicate         bool          // not the first of its name: listed and probed, never touched (ST-10)
	Verified          Verified      // how its package was verified; kept in the version's folder, not in the record
}

// Key returns the key of the plugin in all state: its name, for a duplicate with
// its version and record (ST-10).
func (p Plugin) Key() string {
	if !p.Duplicate {
		return p.Name
	}
	return p.Name + "@" + p.Version + "#" + strconv.FormatUint(p.ID, 10)
}

// IsUpgradable reports whether the control plane is asked for updates of it (UP-02).
func (p Plugin) IsUpgradable() bool {
	return !p.Removed && !p.Duplicate && (p.Type == Persist || p.Type == Commander)
}

// IsProbed reports whether `--status` is run for it (SC-06, SC-08).
func (p Plugin) IsProbed() bool { return !p.Removed && p.Type == Persist }

// ParseTimeout parses a record's timeout, a string of whole seconds: missing, no
// number or not positive is DefaultTimeout, above MaxTimeout is that (SPEC 2).
func ParseTimeout(s string) time.Duration {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n <= 0 {
		return DefaultTimeout
	}
	return time.Duration(min(n, int(MaxTimeout/time.Second))) * time.Second
}

// Type says whether and how a plugin runs.
type Type uint8

// The types of SPEC 1. The zero value is Once, as a record without a type is.
const (
	Once      Type = iota // runs when called; only reported as installed
	Persist               // a daemon: probed, restarted, upgraded
	Commander             // listed and offered for update, otherwise like Unknown
	Unknown               // listed, never probed
)

func (t Type) String() string {
	switch t {
	case Once:
		return "Once"
	case Persist:
		return "Persist"
	case Commander:
		return "Commander"
	default:
		return "Unknown"
	}
}

// MarshalText writes the type's name.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a type's name; one it does not know is Unknown.
func (t *Type) UnmarshalText(b []byte) error {
	for _, known := range []Type{Once, Persist, Commander} {
		if string(b) == known.String() {
			*t = known
			return nil
		}
	}
	*t = Unknown
	return nil
}

// List holds the plugins installed on the host, in the order of the records.
type List struct {
	Plugins []Plugin
	Damaged []Damage // records and files that could not be used (ST-06, ST-07, ST-15)
}

// Damage is a part of the plugin database that cannot be used; status shows it
// until it is gone.
type Damage struct {
	Where string `json:"where"` // record id, folder or file
	Why   string `json:"why"`
}
