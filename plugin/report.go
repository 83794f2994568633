package plugin

import (
	"errors"
	"fmt"
	"time"
)

// SysTag tells the control plane to tag the host for a plugin, or to remove
// that tag; only package operations send it (SPEC 3).
type SysTag string

// The tags' words on the wire.
const (
	SysTagNone   SysTag = ""
	SysTagAdd    SysTag = "add"
	SysTagRemove SysTag = "remove"
)

// ReportEntry is what one report says of one plugin.
type ReportEntry struct {
	Name    string
	Version string
	Status  Status
	SysTag  SysTag
}

// LateReport is a status that a command could not deliver, and when it was so
// (CL-20).
type LateReport struct {
	At time.Time
	ReportEntry
}

// Report is what the control plane is told, in this order.
type Report struct {
	Entries []ReportEntry
}

// ReportMode is how the control plane wants pull reports (SC-23).
type ReportMode int

// The modes; any other value in an answer is ignored.
const (
	ReportNormal ReportMode = 0
	ReportLazy   ReportMode = 1
)

// Answer is the control plane's answer to a report. Values it did not give
// are zero, ReportMode nil.
type Answer struct {
	ParseErr        error         // nil, or why the body could not be read: delivered all the same (SC-19)
	Code            int           // not 0: a warning (SC-24)
	ScanInterval    time.Duration // ≤ 0: not said
	PullInterval    time.Duration // ≤ 0: not said
	RefreshInterval time.Duration // ≤ 0: not said (SC-25)
	ReportMode      *ReportMode   // nil: not said
}

// HTTPError is an answer other than 2xx.
type HTTPError struct {
	Code       int           // HTTP status
	RetryAfter time.Duration // the server's wish, 0 if it had none
	Location   string        // where a redirect points to, which is not followed; "" otherwise
}

func (r *HTTPError) Error() string {
	text := fmt.Sprintf("control plane answered %d", r.Code)
	if r.Location != "" {
		text += fmt.Sprintf(", it points to %s; set control_plane.url, unless that is a login page of a proxy or guest network", r.Location)
	}
	return text
}

// IsFinal tells whether sending the same again soon is useless: 4xx other than
// 408, 425 and 429 (SC-20).
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
