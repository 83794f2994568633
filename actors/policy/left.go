package policy

import (
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// OtherProgramGrace is the least delay of a start after another program worked on
// the plugin, because that program may be about to start it. It is also the time
// before a plugin was found down in which that work counts.
const OtherProgramGrace = 5 * time.Second

// leaveExited leaves a plugin alone that exited while another program held its
// name lock, or soon after (EV-21).
func leaveExited(t *turn) {
	t.recordExit()
	leaveToOther(t, t.f.Exit.Cause())
}

// leaveStarted leaves a plugin alone that exited in this way after an attempt had
// started it. It is no failure of the attempt.
func leaveStarted(t *turn) {
	a := t.l.currentAttempt()
	t.emit(Release{a.id})
	t.f = Fact{Kind: Exited, Exit: *a.exit}
	leaveExited(t)
	t.emit(Check{}) // the lock may be free since
}

// leaveMissed leaves a plugin alone that exited in this way while no supervisor ran
// (EV-09).
func leaveMissed(t *turn) {
	t.l.run = max(t.l.run, t.f.RunID)
	leaveToOther(t, exitedWhileDown)
}

// leaveNew leaves a plugin alone that another program has just installed and may be
// about to start (EV-22).
func leaveNew(t *turn) {
	t.leaveRunning()
	t.moveTo(left{}, "installed by another program")
	t.emit(Check{})
}

// leaveToOther leaves a plugin that exited to another program until the next scan.
func leaveToOther(t *turn, cause string) {
	const decision = "nothing to do, another program is working on the plugin: run --status when it has finished, the next scan decides"
	if t.f.Kind == Exited {
		t.addExitEntry(decision)
	} else {
		t.addEntry(plugin.Entry{Kind: plugin.EntryExit, Cause: cause, Decision: decision})
	}
	t.l.Record.Cause = cause
	t.saveRecord()
	t.leaveRunning()
	t.moveTo(left{}, cause+", while another program worked on it")
	t.l.next = "the next scan decides"
}

// foundStarted records that the other program has started the plugin that was left
// to it.
func foundStarted(t *turn) {
	foundRunning(t)
	t.l.why = "found running, started by another program"
	if !t.f.Scan && !t.f.Refresh { // else foundRunning has reported it
		t.emit(Report{Status: plugin.StatusRunning})
	}
}

// restartAfterOther restarts a plugin that a scan found down while another program
// worked on it, or that was left to this scan. The start waits until that program
// had time to start it, and runs `--status` first. It is no failure of the plugin.
func restartAfterOther(t *turn) {
	r, cfg := &t.l.Record, t.env.Config
	wait := OtherProgramGrace + RandomWithin(cfg.Stagger, t.env.Rand)
	if r.Failures > 0 {
		wait = max(wait, nthBackoff(r.Failures, cfg.BackoffInitial, cfg.BackoffMax, t.env.Rand))
	}
	if t.f.Probe.NoAnswer { // it may be running
		wait = max(wait, cfg.NoAnswer)
	}
	r.Cause = t.f.Cause
	t.saveRecord()
	t.leaveRunning()
	t.spawnRestarter(messages.Attempt{Kind: messages.KindStart, Delay: wait, CheckFirst: true}, attempt{}, t.f.Cause)
}

// foundLeftDown reports that a plugin is down that another program stopped.
func foundLeftDown(t *turn) { t.emit(Report{Status: plugin.StatusFailed}) }
