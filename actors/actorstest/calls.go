package actorstest

import (
	"slices"
	"strings"
	"testing/synctest"
	"time"
)

// Call is one call of a verb or of another method of the manager.
type Call struct {
	At   time.Duration // since the test began
	Verb string        // as "--start", "cancelled --start", "fetch 2.0", "upgrade 2.0"
	Name string
}

// recordCall records a call. The World is locked.
func (w *World) recordCall(verb, name string) {
	w.Calls = append(w.Calls, Call{Elapsed(), verb, name})
}

// CallTimes returns when a verb was run of a plugin, since the test began; "" is
// for all plugins.
func (w *World) CallTimes(verb, name string) (at []time.Duration) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.Calls {
		if c.Verb == verb && (name == "" || c.Name == name) {
			at = append(at, c.At)
		}
	}
	return at
}

// CountCalls returns how often a verb was run of a plugin; "" is for all plugins.
func (w *World) CountCalls(verb, name string) int { return len(w.CallTimes(verb, name)) }

// CalledPlugins returns the plugins that a verb was run of, sorted; a plugin is
// listed once for each call.
func (w *World) CalledPlugins(verb string) (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.Calls {
		if c.Verb == verb {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return names
}

// TakeReports returns the reports that were received since the last call.
func (w *World) TakeReports() []SentReport {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.Reports
	w.Reports = nil
	return taken
}

// SentEvents returns the events that were received.
func (w *World) SentEvents() []SentEvent {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.Events)
}

// UpdateCheckTimes returns when updates were asked for.
func (w *World) UpdateCheckTimes() []time.Time {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.UpdateChecks)
}

// String returns a report in one line, as "a=running b=failed". A version other
// than 1.0 and a tag are included, as "a@2.0=removed+TAG".
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
