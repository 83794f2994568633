package external

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/plugin"
)

// statusLine is the status of one plugin in the output of the program's `--status`.
type statusLine struct {
	Name    string `json:"name"`
	Status  string `json:"status"`
	Version string `json:"version"`
}

// errNoStatus is returned for output without a status of plugins (SC-11).
var errNoStatus = errors.New("no JSON array of plugins in the output")

// Limits of repeated reads of output with many brackets: a factor of its length, plus
// a number of bytes, so that short output is always read to the end.
const (
	maxRereads = 4
	minReread  = 4 << 20
)

// parseStatus finds the JSON array in the program's output, which may have other text
// around it (SC-11): the last well-formed array with an object that has a name and a
// status, because other output comes first; else an empty array on a line of its own.
func parseStatus(out []byte) ([]statusLine, error) {
	var found []statusLine
	ok := false
	for at, effort := 0, 0; effort <= maxRereads*len(out)+minReread; {
		next := bytes.IndexByte(out[at:], '[')
		if next < 0 {
			break
		}
		at += next
		if len(found) == 0 && isEmptyArrayLine(out, at) {
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

// parseArray parses the array at the beginning of b. It returns the objects with a
// name and a status, and the number of bytes it read.
func parseArray(b []byte) (lines []statusLine, read int, err error) {
	if inner := bytes.TrimLeft(b[1:], " \t\r\n"); len(inner) == 0 || inner[0] != '{' {
		return nil, 1, errNoStatus
	}
	var all []statusLine
	d := json.NewDecoder(bytes.NewReader(b))
	err = d.Decode(&all)
	read = int(d.InputOffset())
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) { // of one field: the others are used
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

// isEmptyArrayLine reports whether an empty array begins at that offset and is alone
// on its line. Within other text [] has no meaning.
func isEmptyArrayLine(out []byte, at int) bool {
	begin := bytes.LastIndexByte(out[:at], '\n') + 1
	row := out[begin:]
	if end := bytes.IndexByte(row, '\n'); end >= 0 {
		row = row[:end]
	}
	return string(bytes.TrimSpace(row)) == "[]"
}

// pluginStatus converts the program's status: a plugin that is neither running nor
// removed nor unknown has failed and is started (SC-12 to SC-14).
func (l statusLine) pluginStatus() plugin.Status {
	switch s, known := control.ParseStatus(l.Status); {
	case known && (s == plugin.StatusRunning || s == plugin.StatusRemoved || s == plugin.StatusUnknown):
		return s
	default:
		return plugin.StatusFailed
	}
}
