package actors

import (
	"errors"
	"time"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
)

const (
	// hostFaultProblem is the problem in status while a command of a plugin
	// cannot be run (EV-24).
	hostFaultProblem = "running commands of plugins"
	// recheckAfter is after how long such plugins are asked again, and a plugin
	// database that could not be read is read again.
	recheckAfter = 10 * time.Second
)

// hostFault is about a plugin whose last command the host could not run.
type hostFault struct {
	attempt bool // the command was that of an attempt, which is made again
	refresh bool // its status is to be reported again (SC-25)
}

// hostFaults are the plugins whose last command the host could not run, by
// plugin.Key.
type hostFaults struct {
	byPlugin map[string]hostFault
	host     *hostState
	timers   *timers
}

// add notes that the host could not run a command of a plugin. What is known of
// the plugin stays as it is, and it is asked again.
func (h *hostFaults) add(key, cause string, f hostFault) {
	f.attempt, f.refresh = f.attempt || h.byPlugin[key].attempt, f.refresh || h.byPlugin[key].refresh
	h.byPlugin[key] = f
	if _, known := h.host.problems[hostFaultProblem]; !known {
		h.host.addProblem(hostFaultProblem, errors.New(key+": "+cause))
	}
	h.armRecheck()
}

// armRecheck has what could not be asked be asked again.
func (h *hostFaults) armRecheck() {
	if due := (timerKey{kind: timerRecheck}); !h.timers.isArmed(due) {
		h.timers.arm(due, recheckAfter)
	}
}

// solve notes that a command of the plugin was run, or that the plugin is gone.
func (h *hostFaults) solve(key string) {
	_, known := h.byPlugin[key]
	if delete(h.byPlugin, key); known && len(h.byPlugin) == 0 {
		h.host.solveProblem(hostFaultProblem)
	}
}

// solveProbe notes that `--status` of the plugin was run, and reports whether it
// was to be reported again.
func (h *hostFaults) solveProbe(key string) (refresh bool) {
	f := h.byPlugin[key]
	if !f.attempt {
		h.solve(key)
	}
	return f.refresh
}

// recheck has the plugins that could not be asked be asked again, and reports
// whether the plugin database is to be read again, which could not be read.
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
