package policy

import (
	"time"

	"pluginsupervisor/plugin"
)

// leftFor is the least time that a plugin is left alone after another program
// stopped it: a scan within it leaves it to the one after.
const leftFor = 5 * time.Second

// leaveExited leaves a plugin alone that exited while another program held its
// name lock, or soon after (EV-21).
func leaveExited(t *turn) {
	t.takeExit()
	leaveTo(t, t.f.Exit.Cause())
}

// leaveMissed does so where the exit was not seen (EV-09).
func leaveMissed(t *turn) {
	t.l.run = max(t.l.run, t.f.Run)
	leaveTo(t, exitedAway)
}

// leaveDead does so where `--status` found it down.
func leaveDead(t *turn) { leaveTo(t, t.f.Cause) }

// leaveNew leaves a plugin alone that another program has just installed, and may
// be about to start (EV-22).
func leaveNew(t *turn) {
	t.leaveRunning()
	t.move(left{since: t.env.Now}, "installed by another program")
	t.emit(Check{})
}

func leaveTo(t *turn, cause string) {
	const decision = "none, another program works on the plugin: --status is asked when that has ended, and the next scan decides"
	if t.f.Kind == Exited {
		t.writeExit(decision)
	} else {
		t.note(plugin.Entry{Kind: plugin.EntryExit, Cause: cause, Decision: decision})
	}
	t.l.Record.Cause = cause
	t.save()
	t.leaveRunning()
	t.move(left{since: t.env.Now}, cause+", while another program worked on it")
	t.l.next = "the next scan decides"
}

// foundStarted notes that another program has started the plugin that was left to
// it.
func foundStarted(t *turn) {
	foundRunning(t)
	t.l.why = "found running, started by another program"
	if !t.f.Scan && !t.f.Refresh { // else it is reported
		t.emit(Report{Status: plugin.StatusRunning})
	}
}

// foundLeftDown reports that a plugin is down that another program stopped.
func foundLeftDown(t *turn) { t.emit(Report{Status: plugin.StatusFailed}) }
