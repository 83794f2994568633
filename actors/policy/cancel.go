package policy

import (
	"pluginsupervisor/plugin"
)

// cancel ends the attempt; next follows when it has ended (RS-09).
func (t *turn) cancel(next then) {
	a := t.l.attempt()
	t.emit(Cancel{Attempt: a.id, Begun: a.begun})
	t.move(cancelling{attempt: a, then: next}, next.words(t.l))
}

// replaceThen changes what follows the attempt that is being cancelled.
func (t *turn) replaceThen(next then) {
	ph := t.l.phase.(cancelling)
	ph.then = next
	t.move(ph, next.words(t.l))
}

func (th then) words(l *Lifecycle) string {
	switch th.what {
	case thenRunning:
		return "found running, not started by the supervisor"
	case thenChange:
		return th.change.String()
	case thenRestart, thenRemoved:
		return th.cause
	default:
		return l.Record.Cause
	}
}

// cancelFoundRunning ends a start that is not needed: another program has
// started the plugin, which must not run twice.
func cancelFoundRunning(t *turn) {
	t.cancel(then{what: thenRunning, up: uptime{since: t.env.Now, unproven: t.l.Record.Failures > 0}})
	t.l.ran = true
	t.saveUp(t.env.Now)
	t.reportSeen()
}

// restartAfterCancel restarts a plugin that went down before the attempt that
// was not needed had ended.
func restartAfterCancel(t *turn) {
	cause := t.f.Cause
	if t.f.Kind == Exited {
		cause = t.f.Exit.Cause()
		t.takeExit()
		t.writeExit("restart as soon as the attempt that was cancelled has ended")
	}
	t.saveDown()
	t.replaceThen(then{what: thenRestart, cause: cause})
}

// cancelDoneStop ends the wait for another try at a stop: the plugin is down.
func cancelDoneStop(t *turn) {
	if t.f.Kind == Exited {
		noteExit(t)
	}
	t.cancel(then{what: thenStopped})
}

// finishCancel does what was to follow the attempt.
func finishCancel(t *turn) {
	t.emit(Release{t.l.attempt().id})
	followUp(t)
}

// startedThoughCancelled handles a start that ended before the word to cancel
// it came.
func startedThoughCancelled(t *turn) {
	ph := t.l.phase.(cancelling)
	switch ph.then.what {
	case thenRunning, thenRestart:
		t.l.phase = working{ph.attempt}
		startSucceeded(t)
	case thenRemoved:
		finishCancel(t)
	default:
		l := t.l
		t.emit(Release{ph.id})
		l.Record.Last, l.ran = t.f.At, true
		l.run, l.processes = max(l.run, t.f.Outcome.RunID), t.f.Outcome.Processes
		t.saveUp(t.f.At)
		t.save()
		if ph.then.what == thenChange {
			ph.then.before = plugin.StatusRunning
			l.phase = ph
		}
		followUp(t)
	}
}

// failedThoughCancelled handles an attempt that failed before the word to
// cancel it came.
func failedThoughCancelled(t *turn) {
	ph := t.l.phase.(cancelling)
	switch {
	case ph.then.what == thenRemoved:
		finishCancel(t)
		return
	case t.f.Gone && ph.then.what != thenChange:
		leaveAttempt(t)
		return
	}
	if ph.then.what == thenRunning && t.f.Kind == StartFailed {
		t.l.phase = working{ph.attempt}
		if t.f.HostFault {
			retryAttempt(t)
		} else {
			startFailed(t)
		}
		return
	}
	t.takeFailure()
	followUp(t)
}

// followUp does what was to follow an attempt that has ended.
func followUp(t *turn) {
	switch next := t.l.phase.(cancelling).then; next.what {
	case thenRunning:
		t.enterRunning(next.up, t.l.why)
		t.proveHealthy()
	case thenRestart:
		t.restartAfter(next.verb, next.cause, false)
	case thenCommand:
		spawnCommand(t, next.verb, next.force)
	case thenChange:
		applyChange(t, next.change, next.before, next.was)
	case thenStopped:
		t.leaveRunning()
		t.finishStop()
		t.move(stopped{}, t.l.Record.Cause)
		t.emit(Report{Status: plugin.StatusFailed})
	case thenRemoved:
		t.forget(next.cause)
	}
}
