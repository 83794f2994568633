package policy

import "pluginsupervisor/plugin"

// cancelAttempt cancels the attempt; next follows when it has stopped (RS-09).
func (t *turn) cancelAttempt(next then) {
	a := t.l.currentAttempt()
	t.emit(Cancel{Attempt: a.id, Begun: a.begun})
	t.moveTo(cancelling{attempt: a, then: next}, next.describe(t.l))
}

// replaceThen changes what follows the attempt that is being cancelled.
func (t *turn) replaceThen(next then) {
	ph := t.l.phase.(cancelling)
	ph.then = next
	t.moveTo(ph, next.describe(t.l))
}

// describe returns the cause for the state while the attempt is being cancelled.
func (th then) describe(l *Lifecycle) string {
	switch th.kind {
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

// cancelFoundRunning cancels a start that is not needed: another program has
// started the plugin, and it must not run twice.
func cancelFoundRunning(t *turn) {
	t.cancelAttempt(then{kind: thenRunning, up: uptime{since: t.env.Now, unproven: t.l.Record.Failures > 0}})
	t.l.ran = true
	t.saveUp(t.env.Now)
	t.reportSeen()
}

// restartAfterCancel restarts a plugin that exited while an attempt that it did
// not need was being cancelled.
func restartAfterCancel(t *turn) {
	cause := t.f.Cause
	if t.f.Kind == Exited {
		cause = t.f.Exit.Cause()
		t.recordExit()
		t.addExitEntry("restart when the cancelled attempt has stopped")
	}
	t.saveDown()
	t.replaceThen(then{kind: thenRestart, cause: cause})
}

// cancelDoneStop cancels the retry of a stop: the plugin is down.
func cancelDoneStop(t *turn) {
	if t.f.Kind == Exited {
		noteExit(t)
	}
	t.cancelAttempt(then{kind: thenStopped})
}

// finishCancel releases the cancelled attempt and continues with what follows it.
func finishCancel(t *turn) {
	t.emit(Release{t.l.currentAttempt().id})
	followUp(t)
}

// startedThoughCancelled handles a start that succeeded before the cancellation
// reached it.
func startedThoughCancelled(t *turn) {
	ph := t.l.phase.(cancelling)
	switch ph.then.kind {
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
		t.saveRecord()
		if ph.then.kind == thenChange {
			ph.then.before = plugin.StatusRunning
			l.phase = ph
		}
		followUp(t)
	}
}

// failedThoughCancelled handles an attempt that failed before the cancellation
// reached it.
func failedThoughCancelled(t *turn) {
	ph := t.l.phase.(cancelling)
	switch {
	case ph.then.kind == thenRemoved:
		finishCancel(t)
		return
	case t.f.Gone && ph.then.kind != thenChange:
		leaveAttempt(t)
		return
	}
	if ph.then.kind == thenRunning && t.f.Kind == StartFailed {
		t.l.phase = working{ph.attempt}
		if t.f.HostFault {
			retryAttempt(t)
		} else {
			startFailed(t)
		}
		return
	}
	t.recordFailure()
	followUp(t)
}

// followUp continues with what follows an attempt that has stopped.
func followUp(t *turn) {
	switch next := t.l.phase.(cancelling).then; next.kind {
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
		t.moveTo(stopped{}, t.l.Record.Cause)
		t.emit(Report{Status: plugin.StatusFailed})
	case thenRemoved:
		t.forgetPlugin(next.cause)
	}
}
