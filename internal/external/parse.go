package external

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/plugin"
)

// line is what the program's `--status` says of one plugin.
type line struct {
	Name    string `json:"name"`
	Status  string `json:"status"`
	Version string `json:"version"`
}

// errNoStatus is returned for output that holds no status of plugins (SC-11).
var errNoStatus = errors.New("no JSON array of plugins in the output")

// Output full of brackets may be read over again this often, and some bytes
// more, so that what is short is always read to the end.
const (
	maxEffort  = 4
	someEffort = 4 << 20
)

// parseStatus finds the JSON array in the program's output, which may have
// anything around it (SC-11): the last well-formed one with an object in it
// that has a name and a status, since diagnostics come first and a plugin's
// own chatter is not from the end; else an empty array that has a line to itself.
func parseStatus(out []byte) ([]line, error) {
	var found []line
	ok := false
	for at, effort := 0, 0; effort <= maxEffort*len(out)+someEffort; {
		next := bytes.IndexByte(out[at:], '[')
		if next < 0 {
			break
		}
		at += next
		if len(found) == 0 && emptyLine(out, at) {
			ok = true
		}
		lines, read, err := parseArray(out[at:])
		effort += read
		if err != nil {
			at++
			continue
		}
		at += read
		if len(lines) > 0 {
			found, ok = lines, true
		}
	}
	if !ok {
		return nil, fmt.Errorf("%w: %.200q", errNoStatus, out)
	}
	return found, nil
}

// parseArray reads the array at the beginning of b and returns the objects in
// it that say something of a plugin, and how many bytes it looked at.
func parseArray(b []byte) (lines []line, read int, err error) {
	if inner := bytes.TrimLeft(b[1:], " \t\r\n"); len(inner) == 0 || inner[0] != '{' {
		return nil, 1, errNoStatus
	}
	var all []line
	d := json.NewDecoder(bytes.NewReader(b))
	err = d.Decode(&all)
	read = int(d.InputOffset())
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) { // of a field: what could be read counts
		err = nil
	}
	if err != nil {
		var syntax *json.SyntaxError
		if read = len(b); errors.As(err, &syntax) {
			read = int(syntax.Offset)
		}
		return nil, read, err
	}
	for _, l := range all {
		if l.Name != "" && l.Status != "" {
			lines = append(lines, l)
		}
	}
	return lines, read, nil
}

// emptyLine tells whether the bracket at that place opens an empty array with
// nothing else on its line: in a diagnostic, [] means nothing.
func emptyLine(out []byte, at int) bool {
	begin := bytes.LastIndexByte(out[:at], '\n') + 1
	row := out[begin:]
	if end := bytes.IndexByte(row, '\n'); end >= 0 {
		row = row[:end]
	}
	return string(bytes.TrimSpace(row)) == "[]"
}

// status maps the program's word: what is neither running nor removed is to
// be started (SC-12 to SC-14).
func (l line) status() plugin.Status {
	switch s, known := control.ParseStatus(l.Status); {
	case known && (s == plugin.StatusRunning || s == plugin.StatusRemoved || s == plugin.StatusUnknown):
		return s
	default:
		return plugin.StatusFailed
	}
}
