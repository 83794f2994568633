package actors

import (
	"fmt"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// hostState holds the state of the host and of the supervisor itself.
type hostState struct {
	journal  *journal
	meter    Meter
	problems map[string]plugin.Problem
	damaged  []plugin.Damage
	burst    policy.Burst
	delivery plugin.ReportStatus
	event    string // error of the last event, "" if it was delivered
	counters plugin.Counters
	faults   *hostFaults // commands that the host could not run (EV-24)
}

// noteProblem adds a problem, or removes it if err is nil.
func (h *hostState) noteProblem(what string, err error) {
	if err == nil {
		h.solveProblem(what)
		return
	}
	h.addProblem(what, err)
}

// addProblem adds a failure that is retried to status and, when it is new, to log
// and journal.
func (h *hostState) addProblem(what string, err error) {
	p, known := h.problems[what]
	if !known {
		p.Since = h.journal.now.Wall
	}
	if !known || p.Why != err.Error() {
		h.journal.log.WithError(err).WithField("what", what).Error("Failed, retrying")
		h.journal.noteHost(plugin.EntryHost, what+" failed: "+err.Error(), "retrying")
	}
	p.What, p.Why = what, err.Error()
	h.problems[what] = p
}

// solveProblem removes a problem that has recovered.
func (h *hostState) solveProblem(what string) {
	if p, known := h.problems[what]; known {
		h.journal.log.WithFields(logrus.Fields{"what": what, "since": p.Since}).Info("Recovered")
		h.journal.noteHost(plugin.EntryHost, what+" recovered", "")
		delete(h.problems, what)
	}
}

// noteEvent records the result of the delivery of an event.
func (h *hostState) noteEvent(err error) {
	h.event = ""
	if err != nil {
		h.event = err.Error()
	}
}

// rejectUnknown returns the answer to a command for an unknown plugin: it is not
// installed, or the plugin database could not be read yet.
func (h *hostState) rejectUnknown(name string) messages.Rejected {
	if p, unread := h.problems[pluginDatabase]; unread {
		return messages.Rejected{Why: "cannot check whether " + name + " is installed: " + p.String()}
	}
	return messages.Rejected{Why: name, Unknown: true}
}

// noteDamage stores the damaged parts of the plugin database, and logs new ones.
func (h *hostState) noteDamage(damaged []plugin.Damage) {
	for _, d := range damaged {
		if !slices.Contains(h.damaged, d) {
			h.journal.log.WithFields(logrus.Fields{"where": d.Where, "cause": d.Why}).Error("Damaged record or file ignored")
		}
	}
	h.damaged = damaged
}

// countEffect counts or measures an effect of a transition.
func (h *hostState) countEffect(l *policy.Lifecycle, e policy.Effect) {
	switch e := e.(type) {
	case policy.CountExit:
		h.counters.Exits++
	case policy.CountRestart:
		h.counters.Restarts++
	case policy.CountFailedRestart:
		h.counters.RestartsFailed++
	case policy.CountFailure:
		h.countFailure(l.Plugin.Key())
	case policy.Measure:
		h.observeSpan(e.What, e.From)
	case policy.Recovered:
		h.journal.logFor(l).WithField("failures", e.Failures).Info("Plugin is healthy again")
	}
}

// countFailure counts a failure of a plugin, and records a host event when many
// plugins fail at once (EV-13).
func (h *hostState) countFailure(key string) {
	n := h.burst.Add(*h.journal.now, key)
	if n == 0 {
		return
	}
	cause := fmt.Sprintf("%d plugins failed within %v", n, policy.BurstWithin)
	h.counters.HostEvents++
	h.journal.log.WithField("cause", cause).Error("Many plugins failed at once")
	h.journal.noteHost(plugin.EntryHost, cause, "restarts are limited by the restart budget of the host")
}

// observeSpan reports the duration since from to the meter (EV-18).
func (h *hostState) observeSpan(m plugin.Measure, from time.Time) {
	if h.meter != nil && !from.IsZero() {
		h.meter.Observe(m, max(h.journal.now.Wall.Sub(from), 0))
	}
}

// countChange counts a finished change.
func (h *hostState) countChange(change plugin.Change, done plugin.ChangeResult) {
	h.counters.Upgrades++
	switch {
	case done.Err != nil:
		h.counters.UpgradesFailed++
	case done.Verified.IsUnverified():
		h.counters.UnverifiedInstalls++
	}
	h.journal.log.WithFields(logrus.Fields{"plugin": change.Name, "change": change.String(), "cause": done.Cause()}).Info("Change finished")
}
