package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"pluginsupervisor/plugin"
)

// readStatus reads the answer to a report. One wrong type makes the whole of
// it not understood, and then it says nothing (SC-19).
func readStatus(r response) plugin.Answer {
	var a StatusAnswer
	if err := decode(r, &a); err != nil {
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
	if err := decode(r, &a); err != nil {
		return plugin.Updates{}, err
	}
	u := plugin.Updates{NextInterval: a.NextInterval.Duration()}
	for _, o := range a.Plugin {
		u.Changes = append(u.Changes, plugin.Change{
			Name: o.Name, Version: o.Version, Timeout: offerTimeout(o.Timeout.Duration()),
		})
	}
	return u, nil
}

// offerTimeout holds an offer's deadline to the rule a record's is held to
// (SPEC 2, UP-06).
func offerTimeout(d time.Duration) time.Duration {
	if d <= 0 || d > plugin.MaxTimeout {
		return plugin.DefaultTimeout
	}
	return d
}

// decode reads one JSON object; what is not one wraps plugin.ErrUnreadableAnswer.
// A body that did not arrive completely is read no further.
func decode(r response, into any) error {
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
