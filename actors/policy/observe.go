package policy

import (
	"slices"

	"pluginsupervisor/plugin"
)

// noteProcesses stores the plugin's processes, unless they are of an earlier run.
func noteProcesses(t *turn) {
	l := t.l
	if len(t.f.Processes) == 0 || t.f.RunID < l.run || t.f.RunID != l.run && len(l.processes) > 0 {
		return
	}
	l.run, l.processes = t.f.RunID, t.f.Processes
	if up := t.uptime(); !up.since.IsZero() {
		t.saveUp(up.since)
	}
}

// reattachRunning re-attaches to a plugin that runs since an earlier supervisor process
// (EV-07).
func reattachRunning(t *turn) {
	l, now := t.l, t.env.Now
	since := l.Record.RunningSince
	if since.IsZero() || since.After(now) {
		since = now
	}
	l.run, l.processes = t.f.RunID, t.f.Processes
	up := uptime{since: since, reattached: true}
	up.unproven = l.Record.Failures > 0 || now.Sub(since) < t.env.Config.HealthyAfter
	t.enterRunning(up, "re-attached after supervisor restart")
	if up.unproven {
		t.armHealthy()
	}
}

// foundRunning moves a plugin to running that was not known to run.
func foundRunning(t *turn) {
	t.enterRunning(uptime{since: t.env.Now, unproven: t.l.Record.Failures > 0}, "found running")
	t.proveHealthy()
	t.reportSeen()
}

// acceptStarted clears an operator's stop, because another program started the
// plugin after the stop.
func acceptStarted(t *turn) {
	l := t.l
	l.Record.Stopped, l.Record.StopPending = false, false
	if len(t.f.Processes) > 0 {
		l.run, l.processes = t.f.RunID, t.f.Processes
	}
	t.saveRecordSynced()
	t.addEntry(plugin.Entry{Kind: plugin.EntryOperator, Cause: "started by another program after it had been stopped"})
	t.enterRunning(uptime{since: t.env.Now}, "found running, started by another program")
	t.reportSeen()
}

// stillRunning records that `--status` says running of a running plugin.
func stillRunning(t *turn) {
	t.l.unconfirmed = 0
	t.changeUptime(func(up *uptime) { up.reattached = false })
	t.proveHealthy()
	t.reportSeen()
}

// reportSeen reports a plugin that was seen running, if a scan or refresh asked.
func (t *turn) reportSeen() {
	if t.f.Scan || t.f.Refresh {
		t.emit(Report{Status: plugin.StatusRunning})
	}
}

// changeUptime changes the uptime of a plugin that runs.
func (t *turn) changeUptime(change func(*uptime)) {
	switch ph := t.l.phase.(type) {
	case running:
		change(&ph.uptime)
		t.l.phase = ph
	case degraded:
		change(&ph.uptime)
		t.l.phase = ph
	}
}

// proveHealthy resets the failures of a plugin that was healthy for long enough.
// Nothing else does (RS-05).
func (t *turn) proveHealthy() {
	l, up := t.l, t.uptime()
	if !l.isHealthy(up, t.env.Now, t.env.Config.HealthyAfter) || (!up.unproven && l.Record.Failures == 0) {
		return
	}
	t.changeUptime(func(up *uptime) { up.unproven = false })
	if l.Record.Failures > 0 {
		t.emit(Recovered{l.Record.Failures})
		l.Record.Failures = 0
		t.saveRecord()
	}
}

// foundDead records that a plugin that is never started does not run.
func foundDead(t *turn) {
	t.leaveRunning()
	if t.l.Plugin.Duplicate {
		t.moveTo(installed{}, "not running ("+t.f.Cause+"), a duplicate is never started")
		return
	}
	t.moveTo(installed{}, "not running ("+t.f.Cause+")")
}

// noteStopped records that a plugin is down after an operator's stop (EV-14).
func noteStopped(t *turn) {
	t.saveDown()
	t.finishStop()
	if t.f.Scan {
		t.emit(Report{Status: plugin.StatusFailed})
	}
}

// finishStop records that an operator's stop was carried out.
func (t *turn) finishStop() {
	if t.l.Record.StopPending {
		t.l.Record.StopPending = false
		t.saveRecord()
	}
}

// enterRunning moves to running and saves since when.
func (t *turn) enterRunning(up uptime, why string) {
	t.l.ran = true
	t.moveTo(running{up}, why)
	t.saveUp(up.since)
}

// saveUp saves that the plugin runs since that time, with its processes.
func (t *turn) saveUp(since plugin.Moment) {
	r := &t.l.Record
	if r.RunningSince.Equal(since) && slices.Equal(r.Processes, t.l.processes) {
		return
	}
	r.RunningSince, r.Processes = since, t.l.processes
	t.saveRecord()
}

// saveDown saves that the plugin does not run. It does not clear the known
// processes: those that still run, whatever `--status` says, are cleared by their
// exit event.
func (t *turn) saveDown() {
	r := &t.l.Record
	if r.RunningSince.IsZero() && r.Processes == nil {
		return
	}
	r.RunningSince, r.Processes = plugin.Moment{}, nil
	t.saveRecord()
}

// leaveRunning stops the timers of a run and saves that the plugin is down.
func (t *turn) leaveRunning() {
	t.disarmAll()
	t.saveDown()
}

func (t *turn) disarmAll() {
	t.emit(Disarm{TimerHealthy})
	t.emit(Disarm{TimerSilence})
	t.emit(Disarm{TimerRefresh})
}

func (t *turn) armHealthy() { t.emit(Arm{TimerHealthy, t.env.Config.HealthyAfter}) }

func checkStatus(t *turn) { t.emit(Check{Refresh: t.f.Kind == RefreshDue}) }
