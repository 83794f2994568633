package actorstest

import (
	"slices"
	"strings"
	"testing/synctest"
	"time"
)

// CountCalls returns how often a verb was run of a plugin; "" is for any.
func (w *World) CountCalls(verb, name string) (n int) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.Calls {
		if a.Verb == verb && (name == "" || a.Name == name) {
			n++
		}
	}
	return n
}

// CallTimes returns when a verb was run of a plugin, since the test began.
func (w *World) CallTimes(verb, name string) (at []time.Duration) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.Calls {
		if a.Verb == verb && (name == "" || a.Name == name) {
			at = append(at, a.At)
		}
	}
	return at
}

// TakeReports returns the reports that were received since the last call.
func (w *World) TakeReports() []SentReport {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.Reports
	w.Reports = nil
	return got
}

// SentEvents returns the events that were received.
func (w *World) SentEvents() []SentEvent {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.Events)
}

// UpdateChecks returns when updates were asked for.
func (w *World) UpdateChecks() []time.Time {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.Checks)
}

// String returns a report in one line: "a=running b=failed".
func (r SentReport) String() string {
	var parts []string
	for _, e := range r.Entries {
		s := e.Name + "=" + e.Status.String()
		if e.Version != "1.0" {
			s = e.Name + "@" + e.Version + "=" + e.Status.String()
		}
		if e.SysTag != "" {
			s += "+" + string(e.SysTag)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ")
}

// ReportTexts returns each report in one line.
func ReportTexts(rs []SentReport) []string {
	all := make([]string, len(rs))
	for i, r := range rs {
		all[i] = r.String()
	}
	return all
}
