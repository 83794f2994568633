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

// The bodies of SPEC 3 are in internal/control, which the client and this server
// share. The type below, and those of list.go, are used by the server only.

type eventAnswer struct {
	InstanceID string `json:"instanceId"`
	Code       int    `json:"code"`
}

// Limits of a host's requests.
const (
	maxEntries = 50_000 // plugins in one request
	maxText    = 255    // bytes of a name, a version, an id
)

// requestError is a fault of a request; the client gets its text.
type requestError struct {
	code int // HTTP status
	text string
}

func (f requestError) Error() string { return f.text }

func badRequest(format string, args ...any) error {
	return requestError{code: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

// decodeJSON decodes a body; its errors use the terms of JSON, not of Go.
func decodeJSON(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return badRequest("not JSON: %v at byte %d", syntax, syntax.Offset)
	case errors.As(err, &kind) && kind.Field == "":
		return badRequest("body is %s, want an object", withArticle(kind.Value))
	case errors.As(err, &kind):
		return badRequest("%s is %s, want %s", kind.Field, withArticle(kind.Value), wantedKind(kind))
	default:
		return badRequest("not JSON: %v", err)
	}
}

// decodeReport decodes a status report.
func decodeReport(body []byte) ([]plugin.ReportEntry, error) {
	var r control.StatusReport
	if err := decodeJSON(body, &r); err != nil {
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
			return nil, badRequest("plugin[%d].status: %q is not a status", i, plugin.TruncateText(p.Status, 64))
		}
		entries = append(entries, plugin.ReportEntry{Name: p.Name, Version: p.Version, Status: status})
	}
	return entries, nil
}

// decodeUpdate decodes an update check.
func decodeUpdate(body []byte) ([]control.UpdateSubject, error) {
	var r control.UpdateCheck
	if err := decodeJSON(body, &r); err != nil {
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

// lastMilli is the end of the year 9999, the last one of RFC 3339.
const lastMilli = 253402300799999

// decodeEvent decodes an event; one without a time gets the time of its arrival.
func decodeEvent(body []byte, received time.Time) (Event, error) {
	var r control.Event
	if err := decodeJSON(body, &r); err != nil {
		return Event{}, err
	}
	e := Event{ID: r.EventID, Level: r.EventLevel, Keywords: r.Keywords, At: timeOfMillis(r.EventTime), Received: received}
	switch {
	case r.EventID == "":
		return Event{}, badRequest("eventId is missing")
	case len(r.EventID) > maxText:
		return Event{}, badRequest("eventId has %d bytes, at most %d allowed", len(r.EventID), maxText)
	case len(r.EventLevel) > maxText:
		return Event{}, badRequest("eventLevel has %d bytes, at most %d allowed", len(r.EventLevel), maxText)
	case r.EventTime < 0 || r.EventTime > lastMilli:
		return Event{}, badRequest("eventTime %d is not in Unix milliseconds", r.EventTime)
	case r.EventTime == 0:
		e.At = received
	}
	return e, nil
}

func checkCount[T any](all []T) error {
	switch {
	case all == nil:
		return badRequest("plugin is missing, want a list")
	case len(all) > maxEntries:
		return requestError{http.StatusRequestEntityTooLarge, fmt.Sprintf("plugin lists %d plugins, at most %d allowed", len(all), maxEntries)}
	}
	return nil
}

// checkInstalled checks the lengths only: one invalid name must not lose the
// report of the other plugins.
func checkInstalled(i int, name, version string) error {
	switch {
	case name == "":
		return badRequest("plugin[%d].name is missing", i)
	case len(name) > maxText:
		return badRequest("plugin[%d].name has %d bytes, at most %d allowed", i, len(name), maxText)
	case len(version) > maxText:
		return badRequest("plugin[%d].version has %d bytes, at most %d allowed", i, len(version), maxText)
	}
	return nil
}

// checkHost returns an error when the host id is not valid.
func checkHost(id string) error {
	if len(id) > maxText {
		return badRequest("host id has %d bytes, at most %d allowed", len(id), maxText)
	}
	if !utf8.ValidString(id) {
		return badRequest("host id is not UTF-8")
	}
	return nil
}

func withArticle(kind string) string {
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

func wantedKind(e *json.UnmarshalTypeError) string {
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
