// Package verb converts the result of running a plugin's verb to the types of package
// plugin, for the native and the external manager, and probes many plugins at once.
package verb

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"pluginsupervisor/internal/hostfault"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

// maxOutput limits the output of a verb in an outcome, in bytes.
const maxOutput = 4 << 10

// Outcome returns the outcome of a run of the verb v. A run that could not be started has
// Err and an ExitCode of -1.
func Outcome(v plugin.Verb, r process.Result) plugin.Outcome {
	return plugin.Outcome{
		Verb: v, ExitCode: r.ExitCode, TimedOut: r.TimedOut, HostFault: hostFault(r),
		Output: shortenOutput(r.Output), Err: r.Err, RunID: r.RunID, Processes: r.Processes,
	}
}

// hostFault reports whether the host could not start the run (EV-24).
func hostFault(r process.Result) bool { return !r.Started && hostfault.Is(r.Err) }

// Probe returns the result of `--status` of p at that time: exit 0 is running, any other
// result is failed (SPEC 2). The status is unknown after a run that was canceled,
// rejected during a shutdown, or that the host could not start (EV-24).
func Probe(p plugin.Plugin, at time.Time, r process.Result) plugin.Probe {
	probe := plugin.Probe{Plugin: p, At: at, Status: plugin.StatusFailed}
	switch {
	case r.Err == nil:
		probe.Status = plugin.StatusRunning
	case r.Cancelled, errors.Is(r.Err, process.ErrDraining):
		probe.Status, probe.Cause = plugin.StatusUnknown, r.Err.Error()
	case hostFault(r):
		probe.Status, probe.Cause, probe.HostFault = plugin.StatusUnknown, r.Err.Error(), true
	case r.TimedOut:
		probe.Cause, probe.NoAnswer = NoAnswer(p), true
	default:
		probe.Cause = r.Err.Error()
	}
	return probe
}

// NoAnswer returns the cause of a probe that was killed at its deadline.
func NoAnswer(p plugin.Plugin) string { return fmt.Sprintf("no answer in %s", Deadline(p)) }

// Deadline returns the timeout of the plugin for each verb (SPEC 2, RS-02).
func Deadline(p plugin.Plugin) time.Duration {
	if p.Timeout <= 0 {
		return plugin.DefaultTimeout
	}
	return p.Timeout
}

// shortenOutput returns the last maxOutput bytes of s, from the begin of a character.
func shortenOutput(s string) string {
	if len(s) <= maxOutput {
		return s
	}
	s = s[len(s)-maxOutput:]
	for i := range utf8.UTFMax {
		if utf8.RuneStart(s[i]) {
			return s[i:]
		}
	}
	return s // not UTF-8
}
