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

// hostState is what is known of the host and of the supervisor itself.
type hostState struct {
	journal  *journal
	meter    Meter
	problems map[string]plugin.Problem
	damaged  []plugin.Damage
	burst    policy.Burst
	delivery plugin.ReportStatus
	event    string // why the last event was not delivered, "" if it was
	counters plugin.Counters
	faults   *hostFaults // commands that the host could not run (EV-24)
}

// noteProblem notes something that does not work, or without an error that it
// works again.
func (h *hostState) noteProblem(what string, err error) {
	if err == nil {
		h.solveProblem(what)
		return
	}
	h.addProblem(what, err)
}

// addProblem notes something that does not work, in status and, when it is
// new, in the log.
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

// solveProblem notes that it works again.
func (h *hostState) solveProblem(what string) {
	if p, known := h.problems[what]; known {
		h.journal.log.WithFields(logrus.Fields{"what": what, "since": p.Since}).Info("Recovered")
		h.journal.noteHost(plugin.EntryHost, what+" recovered", "")
		delete(h.problems, what)
	}
}

// noteEvent notes how the delivery of an event ended.
func (h *hostState) noteEvent(err error) {
	h.event = ""
	if err != nil {
		h.event = err.Error()
	}
}

// rejectUnknown returns why a command is rejected that is about a plugin which is
// not known: it is not installed, or that cannot be read yet.
func (h *hostState) rejectUnknown(name string) messages.Rejected {
	if p, unread := h.problems[pluginDatabase]; unread {
		return messages.Rejected{Why: "cannot check whether " + name + " is installed: " + p.String()}
	}
	return messages.Rejected{Why: name, Unknown: true}
}

// noteDamage takes over what of the plugin database could not be used.
func (h *hostState) noteDamage(damaged []plugin.Damage) {
	for _, d := range damaged {
		if !slices.Contains(h.damaged, d) {
			h.journal.log.WithFields(logrus.Fields{"where": d.Where, "cause": d.Why}).Error("Damaged record or file ignored")
		}
	}
	h.damaged = damaged
}

// countEffect counts and measures what a transition brought about.
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

// countFailure notices when many plugins fail together (EV-13).
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

// observeSpan reports a span that the supervisor measured of itself (EV-18).
func (h *hostState) observeSpan(m plugin.Measure, from time.Time) {
	if h.meter != nil && !from.IsZero() {
		h.meter.Observe(m, max(h.journal.now.Wall.Sub(from), 0))
	}
}

// countChange counts a change that has ended.
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
