package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ChangeKind says what a Change does to the version of a plugin on the host.
type ChangeKind uint8

// The kinds of change.
const (
	ChangeUpgrade  ChangeKind = iota // switch the plugin to Version, or install it where it is not yet (UP-08)
	ChangeInstall                    // the same, ordered as an installation
	ChangeRollback                   // go back to the previous version
	ChangeRemove                     // remove the plugin from the host (CL-10)
	ChangeResume                     // finish or undo a change that the exit of the process interrupted
)

var changeKindNames = [...]string{"upgrade", "install", "rollback", "remove", "resume"}

func (k ChangeKind) String() string { return changeKindNames[k] }

// MarshalText writes the kind's name.
func (k ChangeKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a kind's name.
func (k *ChangeKind) UnmarshalText(b []byte) error {
	for i, name := range changeKindNames {
		if string(b) == name {
			*k = ChangeKind(i)
			return nil
		}
	}
	return fmt.Errorf("unknown kind of change %q", b)
}

// Origin says who asked for a Change.
type Origin uint8

// The origins.
const (
	FromControlPlane Origin = iota // assigned in the answer to an update check (UP-05)
	FromOperator                   // a command of an operator: goes first, and overrides quarantine
	FromRecovery                   // found at the start of the supervisor
)

// Change is a request to change which version of a plugin is on the host.
type Change struct {
	ID      uint64 // number that the Coordinator gave it; 0 outside of the supervisor
	Kind    ChangeKind
	Origin  Origin
	Name    string
	Version string        // the wanted version; "" for a rollback and a removal
	Timeout time.Duration // deadline of `--upgrade`; 0: DefaultTimeout (UP-06)
	Package string        // file or URL of the package; "": on this host, or the control plane lists it
	Staged  string        // name in staging of that package, handed over by a command; "": it was not
	Avoid   string        // ID of the package that must not be fetched now (UP-14), see PackageError
}

// ByOperator reports whether an operator asked for the change.
func (c Change) ByOperator() bool { return c.Origin == FromOperator }

// StartsPlugin reports whether the plugin runs after the change. Such a change is
// not made to a plugin that an operator stopped (EV-14).
func (c Change) StartsPlugin() bool { return c.Kind != ChangeRemove }

// String returns the change in words.
func (c Change) String() string {
	switch c.Kind {
	case ChangeRemove:
		return "remove"
	case ChangeResume:
		return "resume the upgrade to " + c.Version
	case ChangeRollback:
		return "roll back"
	case ChangeInstall:
		return "install " + c.Version
	default:
		return "upgrade to " + c.Version
	}
}

// Updates is the control plane's answer to an update check.
type Updates struct {
	Changes      []Change
	NextInterval time.Duration // ≤ 0: not given (UP-09)
}

// ChangePermit is given to a change when the Coordinator lets it touch its plugin.
type ChangePermit struct {
	// StatusBefore is the status of the plugin when the change was granted. After
	// StatusRunning, a new version that does not run is rolled back (UP-13).
	// StatusUnknown: run `--status`.
	StatusBefore Status
	// Interrupt receives at most one value, when an operator's command requires
	// that the change is undone as soon as its running verb has returned (UP-12).
	// nil: it cannot be interrupted.
	Interrupt <-chan Interruption
}

// Interruption says how a change is to be undone for an operator (UP-12).
type Interruption struct {
	LeaveStopped bool // the old version is put back and not started
}

// ErrInterrupted is wrapped by the error of a change that an operator's command
// interrupted, so that it was undone (UP-12).
var ErrInterrupted = errors.New("interrupted by an operator")

// ChangeResult is the result of one change.
type ChangeResult struct {
	Outcome         // of `--upgrade`, or of the step that failed
	Plugin   Plugin // the record as it is afterwards; the zero value if there is none
	Previous string // the version that was recorded before, "" if none
	Status   Status // of the plugin at the end; StatusUnknown if it was not touched
	// RolledBack reports whether the new version was tried and the old one put
	// back.
	RolledBack bool
	SysTag     SysTag // the host's tag in the next report (SPEC 3)
	// Verified says how the fetched package was verified; VerifiedUnknown if none
	// was fetched.
	Verified Verified
	// Package is the ID of the fetched package; "" if none was fetched.
	Package string
	// Note names a problem that is left after a successful change, such as a
	// folder that could not be deleted (EV-32); "" if there is none.
	Note string
}

// Summary returns in words what a successful change did.
func (c ChangeResult) Summary() string {
	done := "installed " + c.Plugin.Version
	if c.Previous != "" {
		done = "upgraded from " + c.Previous + " to " + c.Plugin.Version
	}
	if c.Verified.IsUnverified() {
		done += ", " + c.Verified.Describe()
	}
	if c.Note != "" {
		done += "; " + c.Note
	}
	return done
}

// FailedChange returns the result of a change that touched nothing.
func FailedChange(err error) ChangeResult {
	return ChangeResult{Outcome: Outcome{Verb: VerbUpgrade, ExitCode: -1, Err: err}}
}

// AssignedUpdate is an update that the control plane assigned to this host.
type AssignedUpdate struct {
	Change
	Installed string // version on this host, "" if the plugin is not installed
}

// UpdateHandler handles an update that the control plane assigned, or returns
// false. When it returns true, the supervisor does nothing about the update
// (UP-05). It is called at each update check that assigns the version, and must
// return soon after ctx ends.
type UpdateHandler func(ctx context.Context, u AssignedUpdate) bool
