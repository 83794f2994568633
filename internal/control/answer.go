package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"pluginsupervisor/plugin"
)

// readStatus reads the answer to a report. One field of a wrong type makes the
// whole answer not understood; none of its fields is used then (SC-19).
func readStatus(r response) plugin.Answer {
	var a StatusAnswer
	if err := decodeObject(r, &a); err != nil {
		return plugin.Answer{ParseErr: err}
	}
	answer := plugin.Answer{
		Code:            a.Code,
		ScanInterval:    a.ScanInterval.Duration(),
		PullInterval:    a.PullInterval.Duration(),
		RefreshInterval: a.RefreshInterval.Duration(),
	}
	if m := a.ReportType; m != nil && (*m == plugin.ReportNormal || *m == plugin.ReportLazy) {
		answer.ReportMode = m // other values are ignored (SC-23)
	}
	return answer
}

// readUpdates reads the answer to an update check.
func readUpdates(r response) (plugin.Updates, error) {
	var a UpdateAnswer
	if err := decodeObject(r, &a); err != nil {
		return plugin.Updates{}, err
	}
	u := plugin.Updates{NextInterval: a.NextInterval.Duration()}
	for _, o := range a.Plugin {
		u.Changes = append(u.Changes, plugin.Change{
			Name: o.Name, Version: o.Version, Timeout: clampTimeout(o.Timeout.Duration()),
		})
	}
	return u, nil
}

// clampTimeout returns the timeout of an offer. The limits are those of a
// plugin record (SPEC 2, UP-06).
func clampTimeout(d time.Duration) time.Duration {
	if d <= 0 || d > plugin.MaxTimeout {
		return plugin.DefaultTimeout
	}
	return d
}

// decodeObject reads one JSON object. The error wraps plugin.ErrUnreadableAnswer when
// the body is not an object. An incomplete body is not read.
func decodeObject(r response, into any) error {
	var err error
	switch {
	case r.err != nil:
		return r.err
	case len(r.body) == 0:
		err = errors.New("empty body")
	default:
		err = json.Unmarshal(r.body, into)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", plugin.ErrUnreadableAnswer, err)
	}
	return nil
}
