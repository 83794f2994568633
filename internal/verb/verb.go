// Package verb says in the words of the domain how a run of a plugin's verb
// ended, for the native manager and the external one alike, and knows where
// what such a verb printed is kept.
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

// maxOutput is how much of what a verb printed an outcome carries, in bytes.
const maxOutput = 4 << 10

// Outcome is how a run of the verb v ended. A run that could not begin is a
// Result with Err and an ExitCode of -1.
func Outcome(v plugin.Verb, r process.Result) plugin.Outcome {
	return plugin.Outcome{
		Verb: v, ExitCode: r.ExitCode, TimedOut: r.TimedOut, HostFault: hostFault(r),
		Output: tail(r.Output), Err: r.Err, RunID: r.RunID, Processes: r.Processes,
	}
}

// hostFault reports whether the host could not run it (EV-24).
func hostFault(r process.Result) bool { return !r.Started && hostfault.Is(r.Err) }

// Probe is what `--status` of p told at that time: exit 0 is running, anything
// else is not (SPEC 2). A run that was cut short, refused because we are
// shutting down, or that the host could not begin, says nothing: the status is
// unknown (EV-24).
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

// NoAnswer is the cause of a probe that had to be ended at its deadline.
func NoAnswer(p plugin.Plugin) string { return fmt.Sprintf("no answer in %s", Deadline(p)) }

// Deadline is the plugin's own, for each verb (SPEC 2, RS-02).
func Deadline(p plugin.Plugin) time.Duration {
	if p.Timeout <= 0 {
		return plugin.DefaultTimeout
	}
	return p.Timeout
}

// tail is the end of s, at most maxOutput bytes, not beginning within a character.
func tail(s string) string {
	if len(s) <= maxOutput {
		return s
	}
	s = s[len(s)-maxOutput:]
	for i := range utf8.UTFMax {
		if utf8.RuneStart(s[i]) {
			return s[i:]
		}
	}
	return s // no text at all
}
