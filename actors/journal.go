package actors

import (
	"github.com/sirupsen/logrus"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/plugin"
)

// journal holds the entries of the message that is handled. They are numbered and
// completed when it has been handled, then saved and published (EV-12).
type journal struct {
	log        *logrus.Entry
	now        *plugin.Moment // of the message that is handled
	last       uint64         // number of the last entry
	entries    []openEntry
	unreported map[string]bool // plugins that changed since their last acknowledgement
}

// openEntry is an entry that lacks its next step, which is known when the message
// has been handled.
type openEntry struct {
	plugin.Entry
	about *policy.Lifecycle // has the next step; nil: there is none
}

// notePlugin adds an entry about a plugin, and logs exits and failed attempts.
func (j *journal) notePlugin(l *policy.Lifecycle, e plugin.Entry) {
	key := l.Plugin.Key()
	e.Plugin, e.Version, e.At = key, l.Plugin.Version, j.now.Wall
	partial := e.Exit != nil && e.Exit.Partial
	if e.Kind == plugin.EntryState || e.Kind == plugin.EntryExit && !partial {
		j.unreported[key] = true
	}
	j.entries = append(j.entries, openEntry{e, l})
	switch {
	case partial:
		j.logFor(l).WithFields(logrus.Fields{"cause": e.Cause, "pid": e.Exit.PID, "decision": e.Decision}).Warn("Process of plugin exited")
	case e.Kind == plugin.EntryExit && e.Decision != "":
		pid := 0
		if e.Exit != nil {
			pid = e.Exit.PID
		}
		j.logFor(l).WithFields(logrus.Fields{"cause": e.Cause, "pid": pid, "decision": e.Decision}).Warn("Plugin exited")
	case e.Kind == plugin.EntryAttempt:
		j.logFor(l).WithFields(logrus.Fields{"cause": e.Cause, "output": e.Output}).Warn("Attempt failed")
	}
}

// noteAbsent adds an entry about a plugin that is not installed.
func (j *journal) noteAbsent(name, version string, e plugin.Entry) {
	e.Plugin, e.Version, e.At = name, version, j.now.Wall
	j.entries = append(j.entries, openEntry{Entry: e})
}

// noteHost adds an entry about the host or the supervisor itself.
func (j *journal) noteHost(kind plugin.EntryKind, cause, decision string) {
	j.entries = append(j.entries, openEntry{
		Entry: plugin.Entry{Kind: kind, At: j.now.Wall, Cause: cause, Decision: decision},
	})
}

// noteAcknowledged adds an entry for the first acknowledgement since the plugin
// changed.
func (j *journal) noteAcknowledged(l *policy.Lifecycle, status plugin.Status) {
	key := l.Plugin.Key()
	if j.unreported[key] {
		delete(j.unreported, key)
		j.notePlugin(l, plugin.Entry{Kind: plugin.EntryReport, Cause: "control plane acknowledged " + status.String()})
	}
}

// takeEntries numbers, completes, removes and returns the entries.
func (j *journal) takeEntries() []plugin.Entry {
	done := make([]plugin.Entry, len(j.entries))
	for i, e := range j.entries {
		j.last++
		e.Seq = j.last
		if e.about != nil && (e.Kind == plugin.EntryState || e.Kind == plugin.EntryExit || e.Kind == plugin.EntryAttempt) {
			e.Next, e.NextAt = e.about.NextStep()
		}
		done[i] = e.Entry
	}
	clear(j.entries)
	j.entries = j.entries[:0]
	return done
}

// logFor returns the log with the plugin and its version as fields.
func (j *journal) logFor(l *policy.Lifecycle) *logrus.Entry {
	return j.log.WithFields(logrus.Fields{"plugin": l.Plugin.Key(), "version": l.Plugin.Version})
}
