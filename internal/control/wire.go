package control

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"pluginsupervisor/plugin"
)

// The paths of SPEC 3, below the control plane's base URL. They are fixed.
const (
	PathReport = "/luban/api/v1/plugin/report_status"
	PathUpdate = "/luban/api/v2/plugin/update_check"
	PathEvent  = "/luban/api/metrics"
)

// The headers of every request (SPEC 3).
const (
	ContentType      = "application/json; charset=utf-8"
	HeaderInstanceID = "X-Client-Instance-ID" // identity of the host; left out when unknown
)

// The limits of a name and a version in a report, in bytes (SC-16).
const (
	MaxReportName    = 255
	MaxReportVersion = 32
)

// StatusReport is the body of a status report.
type StatusReport struct {
	Plugin []StatusEntry `json:"plugin"`
}

// StatusEntry is the part of a report about one plugin.
type StatusEntry struct {
	Name       string        `json:"name"`
	Status     string        `json:"status"` // one of the Status constants
	Version    string        `json:"version"`
	SysTagType plugin.SysTag `json:"sysTagType,omitempty"`
}

// StatusAnswer is the answer to a status report. An interval of 0 counts as
// absent.
type StatusAnswer struct {
	InstanceID      string  `json:"instanceId"`
	Code            int     `json:"code"`
	ScanInterval    Seconds `json:"scanInterval"`
	PullInterval    Seconds `json:"pullInterval"`
	RefreshInterval Seconds `json:"refreshInterval"`
	// ReportType is a pointer because 0 is a value; nil means absent.
	ReportType *plugin.ReportMode `json:"reportType,omitempty"`
}

// UpdateCheck is the body of an update check.
type UpdateCheck struct {
	OS     string          `json:"os"`
	Arch   string          `json:"arch"`
	Plugin []UpdateSubject `json:"plugin"`
}

// UpdateSubject is an installed plugin that an update check asks about.
type UpdateSubject struct {
	Name    string `json:"name"`
	Version string `json:"version"` // the installed one
}

// UpdateAnswer is the answer to an update check.
type UpdateAnswer struct {
	InstanceID   string        `json:"instanceId"`
	NextInterval Seconds       `json:"nextInterval"`
	Plugin       []UpdateOffer `json:"plugin"`
}

// UpdateOffer is a version that the control plane assigns to the host.
type UpdateOffer struct {
	Name    string  `json:"name"`
	Version string  `json:"version"`
	Timeout Seconds `json:"timeout"` // of the verb; 0: the default
}

// Seconds is a JSON integer of seconds. A value beyond 64 bits becomes the
// largest one, not an error: the sender meant "very long" (TM-04).
type Seconds int64

// UnmarshalJSON reads an integer. null counts as absent and changes nothing.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	n, err := strconv.ParseInt(string(b), 10, 64) // the nearest value when out of range
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("seconds must be a whole number, not %.40s", b)
	}
	*s = Seconds(n)
	return nil
}

// Duration returns the same length of time, or the longest one when a
// time.Duration cannot hold it (TM-04).
func (s Seconds) Duration() time.Duration {
	const most = Seconds(math.MaxInt64 / int64(time.Second))
	switch {
	case s > most:
		return math.MaxInt64
	case s < -most:
		return math.MinInt64
	default:
		return time.Duration(s) * time.Second
	}
}
