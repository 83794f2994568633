package controlplane

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/plugin"
)

// The bodies of SPEC 3 are internal/control's, where the client and this server
// share them. The one below has no client there, nor have those of list.go.

type eventAnswer struct {
	InstanceID string `json:"instanceId"`
	Code       int    `json:"code"`
}

// Limits of what a host may say.
const (
	maxEntries = 50_000 // plugins in one request
	maxText    = 255    // bytes of a name, a version, an id
)

// fault is what is wrong with a request; its text is told to whoever made it.
type fault struct {
	code int // HTTP status
	text string
}

func (f fault) Error() string { return f.text }

func badf(format string, args ...any) error {
	return fault{code: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

// decode reads a body and names the fault in JSON's words rather than in Go's.
func decode(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return badf("not JSON: %v at byte %d", syntax, syntax.Offset)
	case errors.As(err, &kind) && kind.Field == "":
		return badf("body is %s, want an object", article(kind.Value))
	case errors.As(err, &kind):
		return badf("%s is %s, want %s", kind.Field, article(kind.Value), wanted(kind))
	default:
		return badf("not JSON: %v", err)
	}
}

// decodeReport reads a status report.
func decodeReport(body []byte) ([]plugin.ReportEntry, error) {
	var r control.StatusReport
	if err := decode(body, &r); err != nil {
		return nil, err
	}
	if err := checkCount(r.Plugin); err != nil {
		return nil, err
	}
	entries := make([]plugin.ReportEntry, 0, len(r.Plugin))
	for i, p := range r.Plugin {
		if err := checkInstalled(i, p.Name, p.Version); err != nil {
			return nil, err
		}
		status, known := control.ParseStatus(p.Status)
		if !known {
			return nil, badf("plugin[%d].status: %q is no status", i, plugin.TruncateText(p.Status, 64))
		}
		entries = append(entries, plugin.ReportEntry{Name: p.Name, Version: p.Version, Status: status})
	}
	return entries, nil
}

// decodeUpdate reads an update check.
func decodeUpdate(body []byte) ([]control.UpdateSubject, error) {
	var r control.UpdateCheck
	if err := decode(body, &r); err != nil {
		return nil, err
	}
	if err := checkCount(r.Plugin); err != nil {
		return nil, err
	}
	for i, p := range r.Plugin {
		if err := checkInstalled(i, p.Name, p.Version); err != nil {
			return nil, err
		}
	}
	return r.Plugin, nil
}

// lastMilli is the end of the year 9999, beyond which RFC 3339 ends.
const lastMilli = 253402300799999

// decodeEvent reads an event; one without a time happened when it came.
func decodeEvent(body []byte, received time.Time) (Event, error) {
	var r control.Event
	if err := decode(body, &r); err != nil {
		return Event{}, err
	}
	e := Event{ID: r.EventID, Level: r.EventLevel, Keywords: r.Keywords, At: milli(r.EventTime), Received: received}
	switch {
	case r.EventID == "":
		return Event{}, badf("eventId is missing")
	case len(r.EventID) > maxText:
		return Event{}, badf("eventId has %d bytes, at most %d allowed", len(r.EventID), maxText)
	case len(r.EventLevel) > maxText:
		return Event{}, badf("eventLevel has %d bytes, at most %d allowed", len(r.EventLevel), maxText)
	case r.EventTime < 0 || r.EventTime > lastMilli:
		return Event{}, badf("eventTime %d is not in Unix milliseconds", r.EventTime)
	case r.EventTime == 0:
		e.At = received
	}
	return e, nil
}

func checkCount[T any](all []T) error {
	switch {
	case all == nil:
		return badf("plugin is missing, want a list")
	case len(all) > maxEntries:
		return fault{http.StatusRequestEntityTooLarge, fmt.Sprintf("plugin lists %d plugins, at most %d allowed", len(all), maxEntries)}
	}
	return nil
}

// checkInstalled is lenient about what a name is made of: a host with an odd
// name still gets its other plugins heard.
func checkInstalled(i int, name, version string) error {
	switch {
	case name == "":
		return badf("plugin[%d].name is missing", i)
	case len(name) > maxText:
		return badf("plugin[%d].name has %d bytes, at most %d allowed", i, len(name), maxText)
	case len(version) > maxText:
		return badf("plugin[%d].version has %d bytes, at most %d allowed", i, len(version), maxText)
	}
	return nil
}

// checkHost tells why a host may not be called so, or nil.
func checkHost(id string) error {
	if len(id) > maxText {
		return badf("host id has %d bytes, at most %d allowed", len(id), maxText)
	}
	if !utf8.ValidString(id) {
		return badf("host id is not UTF-8")
	}
	return nil
}

func article(kind string) string {
	switch {
	case kind == "array":
		return "a list"
	case kind == "object":
		return "an object"
	case kind == "bool":
		return "true or false"
	default: // "string", "number", "number 1.5"
		return "a " + kind
	}
}

func wanted(e *json.UnmarshalTypeError) string {
	switch e.Type.Kind().String() {
	case "string":
		return "a string"
	case "slice":
		return "a list"
	case "struct":
		return "an object"
	case "bool":
		return "true or false"
	default:
		return "a whole number"
	}
}
