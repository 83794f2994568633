package actors

import (
	"errors"
	"maps"
	"slices"
	"time"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
)

const (
	// hostFaultProblem names the problem in status while the host cannot run a
	// command of a plugin (EV-24).
	hostFaultProblem = "running commands of plugins"
	// recheckAfter is the time until `--status` is run again for such plugins, and a
	// plugin database that could not be read is read again.
	recheckAfter = 10 * time.Second
)

// hostFault describes the last command of a plugin that the host could not run.
type hostFault struct {
	cause   string
	attempt bool // the command belonged to an attempt, which is retried
	refresh bool // the status is to be reported again (SC-25)
}

// hostFaults holds, by plugin.Key, the plugins whose last command the host could not
// run.
type hostFaults struct {
	byPlugin map[string]hostFault
	named    string // the plugin that the problem names; "" without a problem
	host     *hostState
	timers   *timers
}

// add adds a plugin whose command the host could not run. The state of the plugin
// does not change, and the command is retried.
func (h *hostFaults) add(key, cause string, f hostFault) {
	f.cause = cause
	f.attempt, f.refresh = f.attempt || h.byPlugin[key].attempt, f.refresh || h.byPlugin[key].refresh
	h.byPlugin[key] = f
	h.updateProblem()
	h.armRecheck()
}

// updateProblem makes the problem name one plugin whose command could not be run: the
// same one as before while it is among them.
func (h *hostFaults) updateProblem() {
	if len(h.byPlugin) == 0 {
		h.named = ""
		h.host.solveProblem(hostFaultProblem)
		return
	}
	if _, still := h.byPlugin[h.named]; still {
		return
	}
	h.named = slices.Min(slices.Collect(maps.Keys(h.byPlugin)))
	h.host.addProblem(hostFaultProblem, errors.New(h.named+": "+h.byPlugin[h.named].cause))
}

// armRecheck sets the timer of the recheck, unless it is set.
func (h *hostFaults) armRecheck() {
	if due := (timerKey{kind: timerRecheck}); !h.timers.isArmed(due) {
		h.timers.arm(due, recheckAfter)
	}
}

// solve removes a plugin whose command was run, or which is gone.
func (h *hostFaults) solve(key string) {
	if _, known := h.byPlugin[key]; known {
		delete(h.byPlugin, key)
		h.updateProblem()
	}
}

// solveProbe removes a plugin whose `--status` was run, and reports whether its
// status is to be reported again.
func (h *hostFaults) solveProbe(key string) (refresh bool) {
	f := h.byPlugin[key]
	if !f.attempt {
		h.solve(key)
	}
	return f.refresh
}

// recheck requests checks of the plugins whose `--status` could not be run, and
// reports whether the plugin database could not be read and is to be read again.
func (h *hostFaults) recheck(m messages.RecheckDue, scans *scans, plugins map[string]*policy.Lifecycle) (unread bool) {
	if !h.timers.takeFired(timerKey{kind: timerRecheck}, m.Gen) {
		return false
	}
	_, unread = h.host.problems[pluginDatabase]
	if len(h.byPlugin) == 0 {
		return unread
	}
	for key, f := range h.byPlugin {
		switch _, known := plugins[key]; {
		case !known:
			h.solve(key)
		case !f.attempt:
			scans.requestCheck(key, false)
		}
	}
	h.armRecheck()
	return unread
}
