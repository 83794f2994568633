package policy

import (
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// beginAttempt records that the attempt has its slot.
func beginAttempt(t *turn) {
	switch ph := t.l.phase.(type) {
	case waiting:
		ph.begun = true
		t.moveTo(working(ph), t.l.why)
	case stopping:
		ph.begun = true
		t.l.phase = ph
		t.l.next, t.l.nextAt = "", time.Time{}
	}
}

// startSucceeded handles an attempt that has started the plugin (RS-06).
func startSucceeded(t *turn) {
	exit := t.l.currentAttempt().exit
	t.recordStart()
	if exit == nil || exit.RunID < t.l.run {
		t.emit(Report{Status: plugin.StatusRunning, Restarted: true})
		return
	}
	// It exited again while `--status` ran.
	t.emit(Report{Status: plugin.StatusFailed})
	t.f = Fact{Kind: Exited, Exit: *exit}
	t.recordExit()
	decideAfterExit(t)
}

// recordStart records the result of a successful attempt.
func (t *turn) recordStart() {
	l, a := t.l, t.l.currentAttempt()
	first := l.Record.Last.IsZero() && !l.ran // its first start ever is no restart
	why := "restarted after: " + l.Record.Cause
	switch {
	case a.operator:
		why = l.Record.Cause
	case first:
		why = "started by the supervisor"
	}
	t.emit(Release{a.id})
	switch {
	case t.f.Outcome.Skipped && a.retried && !a.made:
	case t.f.Outcome.Skipped && a.resumed:
		why = "started before the supervisor was"
	case t.f.Outcome.Skipped && !a.made:
		why = "found running, started by another program"
	case !first:
		l.Record.Count++
		t.emit(CountRestart{})
	}
	l.Record.Last = t.f.At
	t.enterStarted(uptime{since: t.f.At, unproven: true, firstRun: first}, why)
}

// enterStarted records the run that a verb has started, and moves to running.
func (t *turn) enterStarted(up uptime, why string) {
	l, o := t.l, t.f.Outcome
	l.run = max(l.run, o.RunID)
	if !o.Skipped || len(o.Processes) > 0 { // else its processes are the same
		l.processes = o.Processes
	}
	if l.unconfirmed < l.run {
		l.unconfirmed = 0
	} else if l.unconfirmed > 0 {
		t.emit(Check{})
	}
	t.emit(Measure{plugin.MeasureRestart, l.exitedAt})
	l.exitedAt = time.Time{}
	t.enterRunning(up, why)
	t.saveRecord()
	t.armHealthy()
	if l.beat.isReadable() {
		t.armSilence()
	}
}

// recordFailure records a failed attempt.
func (t *turn) recordFailure() {
	t.emit(Release{t.l.currentAttempt().id})
	t.emit(CountFailedRestart{})
	t.addEntry(plugin.Entry{Kind: plugin.EntryAttempt, Cause: t.f.Cause, Output: t.f.Outcome.Output})
}

// reportProbe reports the result of `--status` after a failed attempt (RS-06).
func (t *turn) reportProbe() {
	status := t.f.Probe.Status
	if status != plugin.StatusRunning {
		status = plugin.StatusFailed
	}
	t.emit(Report{Status: status})
}

// leaveAttempt ends the supervision of a plugin whose record was gone when the
// attempt ran.
func leaveAttempt(t *turn) {
	t.emit(Release{t.l.currentAttempt().id})
	leaveSupervision(t)
}

// startFailed plans the next attempt, after a longer backoff (RS-05).
func startFailed(t *turn) {
	t.recordFailure()
	t.reportProbe()
	t.countFailedStart()
	t.restartAfter(messages.KindStart, t.f.Cause, false)
}

// hostFaultPause is the least time until an attempt is retried that the host could
// not make (EV-24). Retries of several plugins are spread over the same time.
const hostFaultPause = 5 * time.Second

// retryAttempt retries an attempt that the host could not make. It is no failure,
// and nothing is reported, because the status of the plugin is unknown. If the verb
// ran and only `--status` could not be run, the verb is not run again before
// `--status` says that it is needed: a plugin is not restarted twice.
func retryAttempt(t *turn) {
	own, kind, ran := t.l.currentAttempt(), t.l.currentAttempt().verb, t.f.Outcome.Verb != "" && !t.f.Outcome.HostFault
	t.emit(Release{own.id})
	own.begun, own.exit, own.retried = false, nil, true
	own.made = own.made || ran && !t.f.Outcome.Skipped
	if ran && len(t.f.Outcome.Processes) > 0 {
		t.l.run, t.l.processes = max(t.l.run, t.f.Outcome.RunID), t.f.Outcome.Processes
	}
	if kind == messages.KindRestart && (ran || t.f.Probe.Status == plugin.StatusFailed) {
		kind = messages.KindStart
	}
	wait := hostFaultPause + RandomWithin(hostFaultPause, t.env.Rand)
	t.spawnRestarter(messages.Attempt{Kind: kind, Delay: wait, CheckFirst: kind == messages.KindStart || own.made}, own, t.f.Cause)
}

// countFailedStart adds a failed start to the plugin's record.
func (t *turn) countFailedStart() {
	r := &t.l.Record
	r.Count++
	r.Failures++
	r.Last, r.Cause = t.f.At, t.f.Cause
	t.saveRecord()
}

// stopSucceeded records that an operator's stop was carried out (EV-14).
func stopSucceeded(t *turn) {
	t.emit(Release{t.l.currentAttempt().id})
	t.leaveRunning()
	t.finishStop()
	t.moveTo(stopped{}, t.l.Record.Cause)
	t.emit(Report{Status: plugin.StatusFailed})
}

// stopFailed retries the stop, after a longer backoff, until the plugin is down.
func stopFailed(t *turn) {
	t.recordFailure()
	t.reportProbe()
	own := attempt{operator: true, tries: t.l.currentAttempt().tries + 1}
	wait := nthBackoff(own.tries, t.env.Config.BackoffInitial, t.env.Config.BackoffMax, t.env.Rand)
	t.spawnRestarter(messages.Attempt{Kind: messages.KindStop, Delay: wait}, own, t.f.Cause)
	t.l.next = "stop again"
}
