package actors

import (
	"slices"
	"strings"
	"testing/synctest"
	"time"
)

// count is how often a verb was run of a plugin.
func (w *world) count(verb, name string) (n int) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.did {
		if a.verb == verb && (name == "" || a.name == name) {
			n++
		}
	}
	return n
}

// when is at what times a verb was run of a plugin.
func (w *world) when(verb, name string) (at []time.Duration) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.did {
		if a.verb == verb && (name == "" || a.name == name) {
			at = append(at, a.at)
		}
	}
	return at
}

// takeReports hands over the reports that were sent since the last call, in short form.
func (w *world) takeReports() []sentReport {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.reports
	w.reports = nil
	return got
}

// sent is the events that were sent.
func (w *world) sent() []sentEvent {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

// checked is when updates were asked for.
func (w *world) checked() []time.Time {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.checks)
}

// short is a report in one line: "a=running b=failed".
func (r sentReport) short() string {
	var parts []string
	for _, e := range r.entries {
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

func shorts(rs []sentReport) []string {
	all := make([]string, len(rs))
	for i, r := range rs {
		all[i] = r.short()
	}
	return all
}
