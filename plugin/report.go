package plugin

import (
	"errors"
	"fmt"
	"time"
)

// SysTag adds or removes a tag of the host for a plugin in the control plane; only
// package operations send it (SPEC 3).
type SysTag string

// The values on the wire.
const (
	SysTagNone   SysTag = ""
	SysTagAdd    SysTag = "add"
	SysTagRemove SysTag = "remove"
)

// ReportEntry is the status of one plugin in a report.
type ReportEntry struct {
	Name    string
	Version string
	Status  Status
	SysTag  SysTag
}

// LateReport is a status that a command could not deliver, with its time (CL-20).
type LateReport struct {
	At time.Time
	ReportEntry
}

// Report holds statuses for the control plane, in the order of the wire.
type Report struct {
	Entries []ReportEntry
}

// ReportMode is the mode of pull reports that the control plane sets (SC-23).
type ReportMode int

// The modes; any other value in an answer is ignored.
const (
	ReportNormal ReportMode = 0
	ReportLazy   ReportMode = 1
)

// Answer is the control plane's answer to a report. Values that it does not have
// are zero, ReportMode nil.
type Answer struct {
	ParseErr        error         // the body could not be read; the report counts as delivered (SC-19)
	Code            int           // not 0: a warning (SC-24)
	ScanInterval    time.Duration // ≤ 0: not given
	PullInterval    time.Duration // ≤ 0: not given
	RefreshInterval time.Duration // ≤ 0: not given (SC-25)
	ReportMode      *ReportMode   // nil: not given
}

// HTTPError is an answer other than 2xx.
type HTTPError struct {
	Code       int           // HTTP status
	RetryAfter time.Duration // requested by the server, 0 if not
	Location   string        // target of a redirect, which is not followed; "" otherwise
}

func (r *HTTPError) Error() string {
	text := fmt.Sprintf("control plane answered %d", r.Code)
	if r.Location != "" {
		text += fmt.Sprintf(", it points to %s; set control_plane.url, unless that is a login page of a proxy or guest network", r.Location)
	}
	return text
}

// IsFinal reports whether a retry soon is useless: 4xx other than 408, 425 and 429
// (SC-20).
func (r *HTTPError) IsFinal() bool {
	switch r.Code {
	case 408, 425, 429:
		return false
	default:
		return r.Code >= 400 && r.Code < 500
	}
}

// ErrUnreadableAnswer is wrapped by an error that says a 2xx answer could not be read (UP-04).
var ErrUnreadableAnswer = errors.New("answer not understood")
