package policy

import "pluginsupervisor/plugin"

// rule is one row of the transition table: in a phase, a fact, under a
// condition, leads to one of the phases of to.
type rule struct {
	on   FactKind
	when cond // the zero value: always
	to   []PhaseKind
	do   func(*turn)
}

// cond is a condition with the words it has in the picture.
type cond struct {
	words string
	holds func(*turn) bool
}

// The conditions.
var (
	ifUnsupervised = cond{"not supervised", func(t *turn) bool { return !t.l.supervised() }}
	ifStopPending  = cond{"its stop is pending", func(t *turn) bool { return t.l.Record.StopPending }}
	ifOldExit      = cond{"of an earlier run", func(t *turn) bool { return t.f.Exit.Life < t.l.run }}
	ifNewerExit    = cond{"of what the attempt started", func(t *turn) bool { return t.f.Exit.Life > t.l.run }}
	ifHangs        = cond{"hangs", func(t *turn) bool { return t.env.Config.OnHang && t.l.supervised() && t.l.hangs(t.env.Now) }}
	ifSilent       = cond{"still silent", func(t *turn) bool { return t.l.hangs(t.env.Now) }}
	ifAdopted      = cond{"its start was under way", func(t *turn) bool { return t.l.supervised() && t.uptime().adopted }}
	ifJustStarted  = cond{"just started", func(t *turn) bool { return !t.l.hadTimeToBeat(t.env.Now) }}
	ifToStart      = cond{"to be started", func(t *turn) bool { return t.l.attempt().isStart() }}
	ifOtherVersion = cond{"another version", func(t *turn) bool { return t.f.Plugin.Version != t.l.Plugin.Version }}
	ifOtherType    = cond{"no longer Persist", func(t *turn) bool { return t.l.Plugin.Type == plugin.Persist && t.f.Plugin.Type != plugin.Persist }}
	ifHostFault    = cond{"the host could not run it", func(t *turn) bool { return t.f.HostFault }}
	ifBegun        = cond{"its verb runs", func(t *turn) bool { return t.l.attempt().begun }}
	ifWaitsForNone = cond{"it was to go on running", func(t *turn) bool { return t.l.phase.(cancelling).then.what == thenRunning }}
	ifLeaving      = cond{"its record was gone", func(t *turn) bool { return t.l.leaving() }}
)

func in(ps ...PhaseKind) []PhaseKind { return ps }

// table is the one place that says what each fact leads to in each phase. The
// first rule that fits holds. A fact that has none is a defect: it is counted
// and logged, and changes nothing.
var table = [phaseCount][]rule{
	Installed: {
		{on: Recorded, when: ifOtherType, to: in(Removed), do: leaveSupervision},
		{on: Recorded, to: in(Installed), do: updateRecord},
		{on: RecordGone, to: in(Removed), do: leaveSupervision},
		{on: Adopted, when: ifUnsupervised, to: in(Installed), do: noteProcesses},
		{on: Adopted, to: in(Running), do: adoptRunning},
		{on: ExitMissed, when: ifUnsupervised, to: in(Installed), do: ignoreFact},
		{on: ExitMissed, to: in(Waiting), do: restartMissed},
		{on: ProcessesSeen, to: in(Installed), do: noteProcesses},
		{on: SeenRunning, to: in(Running), do: foundRunning},
		{on: SeenDead, when: ifUnsupervised, to: in(Installed), do: foundDead},
		{on: SeenDead, to: in(Waiting), do: restartDead},
		{on: Exited, when: ifOldExit, to: in(Installed), do: ignoreFact},
		{on: Exited, when: ifUnsupervised, to: in(Installed), do: noteExit},
		{on: Exited, to: in(Waiting), do: restartExited},
		{on: ExitExplained, to: in(Installed), do: explainExit},
		{on: BeatSeen, to: in(Installed), do: noteBeat},
		{on: BeatLate, to: in(Installed), do: noteBeat},
		{on: HealthPassed, to: in(Installed), do: ignoreFact},
		{on: HealthFailed, to: in(Installed), do: ignoreFact},
		{on: OperatorStart, to: in(Waiting), do: obeyCommand},
		{on: OperatorRestart, to: in(Waiting), do: obeyCommand},
		{on: OperatorStop, to: in(Stopping), do: obeyCommand},
		{on: ChangeGranted, to: in(Changing), do: beginChange},
		{on: RefreshDue, to: in(Installed), do: checkStatus},
	},
	Waiting: {
		{on: Recorded, when: ifOtherType, to: in(Cancelling), do: cancelToLeave},
		{on: Recorded, when: ifOtherVersion, to: in(Cancelling), do: cancelOldVersion},
		{on: Recorded, to: in(Waiting), do: updateRecord},
		{on: RecordGone, to: in(Cancelling), do: cancelToLeave},
		{on: Adopted, to: in(Waiting), do: noteProcesses},
		{on: ExitMissed, to: in(Waiting), do: ignoreFact},
		{on: SeenRunning, when: ifToStart, to: in(Cancelling), do: cancelFoundRunning},
		{on: SeenRunning, to: in(Waiting), do: ignoreFact},
		{on: SeenDead, to: in(Waiting), do: ignoreFact},
		{on: Exited, when: ifOldExit, to: in(Waiting), do: ignoreFact},
		{on: Exited, to: in(Waiting), do: noteExit},
		{on: ExitExplained, to: in(Waiting), do: explainExit},
		{on: BeatSeen, to: in(Waiting), do: noteBeat},
		{on: BeatLate, to: in(Waiting), do: noteBeat},
		{on: HealthPassed, to: in(Waiting), do: ignoreFact},
		{on: HealthFailed, to: in(Waiting), do: ignoreFact},
		{on: AttemptBegun, to: in(Working), do: beginAttempt},
		{on: StartFailed, to: in(Waiting), do: startFailed},
		{on: OperatorStart, to: in(Cancelling), do: cancelForCommand},
		{on: OperatorRestart, to: in(Cancelling), do: cancelForCommand},
		{on: OperatorStop, to: in(Cancelling), do: cancelForCommand},
		{on: ChangeGranted, to: in(Cancelling), do: cancelForChange},
		{on: RefreshDue, to: in(Waiting), do: ignoreFact},
	},
	Working: {
		{on: Recorded, when: ifOtherType, to: in(Cancelling), do: cancelToLeave},
		{on: Recorded, to: in(Working), do: updateRecord},
		{on: RecordGone, to: in(Cancelling), do: cancelToLeave},
		{on: Adopted, to: in(Working), do: noteProcesses},
		{on: ExitMissed, to: in(Working), do: ignoreFact},
		{on: SeenRunning, to: in(Working), do: ignoreFact},
		{on: SeenDead, to: in(Working), do: ignoreFact},
		{on: Exited, when: ifNewerExit, to: in(Working), do: keepExit},
		{on: Exited, when: ifOldExit, to: in(Working), do: ignoreFact},
		{on: Exited, to: in(Working), do: noteExit},
		{on: ExitExplained, to: in(Working), do: explainExit},
		{on: BeatSeen, to: in(Working), do: noteBeat},
		{on: BeatLate, to: in(Working), do: noteBeat},
		{on: HealthPassed, to: in(Working), do: ignoreFact},
		{on: HealthFailed, to: in(Working), do: ignoreFact},
		{on: StartSucceeded, to: in(Running, Waiting), do: startSucceeded},
		{on: StartFailed, when: ifHostFault, to: in(Waiting), do: retryAttempt},
		{on: StartFailed, to: in(Waiting), do: startFailed},
		{on: OperatorStart, to: in(Cancelling), do: cancelForCommand},
		{on: OperatorRestart, to: in(Cancelling), do: cancelForCommand},
		{on: OperatorStop, to: in(Cancelling), do: cancelForCommand},
		{on: ChangeGranted, to: in(Cancelling), do: cancelForChange},
		{on: RefreshDue, to: in(Working), do: ignoreFact},
	},
	Running: {
		{on: Recorded, when: ifOtherType, to: in(Removed), do: leaveSupervision},
		{on: Recorded, to: in(Running), do: updateRecord},
		{on: RecordGone, to: in(Removed), do: leaveSupervision},
		{on: Adopted, to: in(Running), do: noteProcesses},
		{on: ExitMissed, to: in(Running), do: ignoreFact},
		{on: ProcessesSeen, to: in(Running), do: noteProcesses},
		{on: SeenRunning, to: in(Running), do: stillRunning},
		{on: SeenDead, when: ifAdopted, to: in(Waiting), do: resumeStart},
		{on: SeenDead, when: ifUnsupervised, to: in(Installed), do: foundDead},
		{on: SeenDead, to: in(Waiting), do: restartDead},
		{on: Exited, when: ifOldExit, to: in(Running), do: ignoreFact},
		{on: Exited, to: in(Waiting), do: restartExited},
		{on: ExitExplained, to: in(Running), do: explainExit},
		{on: BeatSeen, to: in(Running), do: beatInTime},
		{on: BeatLate, when: ifJustStarted, to: in(Running), do: awaitBeat},
		{on: BeatLate, to: in(Degraded), do: degradeSilent},
		{on: HealthPassed, to: in(Running), do: ignoreFact},
		{on: HealthFailed, to: in(Degraded), do: degradeUnhealthy},
		{on: OperatorStart, to: in(Waiting), do: obeyCommand},
		{on: OperatorRestart, to: in(Waiting), do: obeyCommand},
		{on: OperatorStop, to: in(Stopping), do: obeyCommand},
		{on: ChangeGranted, to: in(Changing), do: beginChange},
		{on: HealthyDue, to: in(Running), do: checkStatus},
		{on: SilenceDue, when: ifSilent, to: in(Running), do: checkStatus},
		{on: SilenceDue, to: in(Running), do: ignoreFact},
		{on: RefreshDue, to: in(Running), do: checkStatus},
	},
	Degraded: {
		{on: Recorded, when: ifOtherType, to: in(Removed), do: leaveSupervision},
		{on: Recorded, to: in(Degraded), do: updateRecord},
		{on: RecordGone, to: in(Removed), do: leaveSupervision},
		{on: Adopted, to: in(Degraded), do: noteProcesses},
		{on: ExitMissed, to: in(Degraded), do: ignoreFact},
		{on: ProcessesSeen, to: in(Degraded), do: noteProcesses},
		{on: SeenRunning, when: ifHangs, to: in(Waiting), do: restartHung},
		{on: SeenRunning, to: in(Degraded), do: stillRunning},
		{on: SeenDead, when: ifAdopted, to: in(Waiting), do: resumeStart},
		{on: SeenDead, when: ifUnsupervised, to: in(Installed), do: foundDead},
		{on: SeenDead, to: in(Waiting), do: restartDead},
		{on: Exited, when: ifOldExit, to: in(Degraded), do: ignoreFact},
		{on: Exited, to: in(Waiting), do: restartExited},
		{on: ExitExplained, to: in(Degraded), do: explainExit},
		{on: BeatSeen, to: in(Degraded, Running), do: beatAgain},
		{on: BeatLate, to: in(Degraded), do: stillSilent},
		{on: HealthPassed, to: in(Running), do: healthyAgain},
		{on: HealthFailed, to: in(Degraded), do: checkStatus},
		{on: OperatorStart, to: in(Waiting), do: obeyCommand},
		{on: OperatorRestart, to: in(Waiting), do: obeyCommand},
		{on: OperatorStop, to: in(Stopping), do: obeyCommand},
		{on: ChangeGranted, to: in(Changing), do: beginChange},
		{on: HealthyDue, to: in(Degraded), do: checkStatus},
		{on: SilenceDue, when: ifSilent, to: in(Degraded), do: checkStatus},
		{on: SilenceDue, to: in(Degraded), do: ignoreFact},
		{on: RefreshDue, to: in(Degraded), do: checkStatus},
	},
	Stopping: {
		{on: Recorded, when: ifOtherType, to: in(Cancelling), do: cancelToLeave},
		{on: Recorded, to: in(Stopping), do: updateRecord},
		{on: RecordGone, to: in(Cancelling), do: cancelToLeave},
		{on: Adopted, to: in(Stopping), do: noteProcesses},
		{on: ExitMissed, to: in(Stopping), do: ignoreFact},
		{on: SeenRunning, to: in(Stopping), do: ignoreFact},
		{on: SeenDead, when: ifBegun, to: in(Stopping), do: ignoreFact},
		{on: SeenDead, to: in(Cancelling), do: cancelDoneStop},
		{on: Exited, when: ifOldExit, to: in(Stopping), do: ignoreFact},
		{on: Exited, when: ifBegun, to: in(Stopping), do: noteExit},
		{on: Exited, to: in(Cancelling), do: cancelDoneStop},
		{on: ExitExplained, to: in(Stopping), do: explainExit},
		{on: BeatSeen, to: in(Stopping), do: noteBeat},
		{on: BeatLate, to: in(Stopping), do: noteBeat},
		{on: HealthPassed, to: in(Stopping), do: ignoreFact},
		{on: HealthFailed, to: in(Stopping), do: ignoreFact},
		{on: AttemptBegun, to: in(Stopping), do: beginAttempt},
		{on: StopSucceeded, to: in(Stopped), do: stopSucceeded},
		{on: StopFailed, when: ifHostFault, to: in(Stopping), do: retryAttempt},
		{on: StopFailed, to: in(Stopping), do: stopFailed},
		{on: OperatorStart, to: in(Cancelling), do: cancelForCommand},
		{on: OperatorRestart, to: in(Cancelling), do: cancelForCommand},
		{on: OperatorStop, when: ifBegun, to: in(Stopping), do: noteCommand},
		{on: OperatorStop, to: in(Cancelling), do: cancelForCommand},
		{on: ChangeGranted, to: in(Cancelling), do: cancelForChange},
		{on: RefreshDue, to: in(Stopping), do: ignoreFact},
	},
	Stopped: {
		{on: Recorded, when: ifOtherType, to: in(Removed), do: leaveSupervision},
		{on: Recorded, to: in(Stopped), do: updateRecord},
		{on: RecordGone, to: in(Removed), do: leaveSupervision},
		{on: Adopted, when: ifStopPending, to: in(Stopping), do: stopAgain},
		{on: Adopted, to: in(Running), do: acceptStarted},
		{on: ExitMissed, to: in(Stopped), do: noteStopped},
		{on: ProcessesSeen, to: in(Stopped), do: noteProcesses},
		{on: SeenRunning, when: ifStopPending, to: in(Stopping), do: stopAgain},
		{on: SeenRunning, to: in(Running), do: acceptStarted},
		{on: SeenDead, to: in(Stopped), do: noteStopped},
		{on: Exited, when: ifOldExit, to: in(Stopped), do: ignoreFact},
		{on: Exited, to: in(Stopped), do: noteExit},
		{on: ExitExplained, to: in(Stopped), do: explainExit},
		{on: BeatSeen, to: in(Stopped), do: noteBeat},
		{on: BeatLate, to: in(Stopped), do: noteBeat},
		{on: HealthPassed, to: in(Stopped), do: ignoreFact},
		{on: HealthFailed, to: in(Stopped), do: ignoreFact},
		{on: OperatorStart, to: in(Waiting), do: obeyCommand},
		{on: OperatorRestart, to: in(Waiting), do: obeyCommand},
		{on: OperatorStop, to: in(Stopping), do: obeyCommand},
		{on: ChangeGranted, to: in(Changing), do: beginChange},
		{on: RefreshDue, to: in(Stopped), do: ignoreFact},
	},
	Cancelling: {
		{on: Recorded, when: ifOtherType, to: in(Cancelling), do: leaveAfterCancel},
		{on: Recorded, when: ifLeaving, to: in(Cancelling), do: returnRecord},
		{on: Recorded, to: in(Cancelling), do: updateRecord},
		{on: RecordGone, to: in(Cancelling), do: leaveAfterCancel},
		{on: Adopted, to: in(Cancelling), do: noteProcesses},
		{on: ExitMissed, to: in(Cancelling), do: ignoreFact},
		{on: SeenRunning, to: in(Cancelling), do: ignoreFact},
		{on: SeenDead, when: ifWaitsForNone, to: in(Cancelling), do: restartAfterCancel},
		{on: SeenDead, to: in(Cancelling), do: ignoreFact},
		{on: Exited, when: ifOldExit, to: in(Cancelling), do: ignoreFact},
		{on: Exited, when: ifWaitsForNone, to: in(Cancelling), do: restartAfterCancel},
		{on: Exited, to: in(Cancelling), do: noteExit},
		{on: ExitExplained, to: in(Cancelling), do: explainExit},
		{on: BeatSeen, to: in(Cancelling), do: noteBeat},
		{on: BeatLate, to: in(Cancelling), do: noteBeat},
		{on: HealthPassed, to: in(Cancelling), do: ignoreFact},
		{on: HealthFailed, to: in(Cancelling), do: ignoreFact},
		{on: StartSucceeded, to: in(Running, Waiting, Stopping, Changing, Removed), do: startedThoughCancelled},
		{on: StartFailed, to: in(Waiting, Stopping, Changing, Removed), do: failedThoughCancelled},
		{on: StopSucceeded, to: in(Waiting, Stopping, Changing, Removed), do: finishCancel},
		{on: StopFailed, to: in(Waiting, Stopping, Stopped, Changing, Removed), do: failedThoughCancelled},
		{on: AttemptCancelled, to: in(Running, Waiting, Stopping, Stopped, Changing, Removed), do: finishCancel},
		{on: OperatorStart, to: in(Cancelling), do: commandAfterCancel},
		{on: OperatorRestart, to: in(Cancelling), do: commandAfterCancel},
		{on: OperatorStop, to: in(Cancelling), do: commandAfterCancel},
		{on: ChangeGranted, to: in(Cancelling), do: changeAfterCancel},
		{on: ChangeDropped, to: in(Cancelling), do: dropChange},
		{on: RefreshDue, to: in(Cancelling), do: ignoreFact},
	},
	Changing: {
		{on: Recorded, to: in(Changing), do: ignoreFact},
		{on: RecordGone, to: in(Changing), do: ignoreFact},
		{on: Adopted, to: in(Changing), do: ignoreFact},
		{on: ExitMissed, to: in(Changing), do: ignoreFact},
		{on: SeenRunning, to: in(Changing), do: ignoreFact},
		{on: SeenDead, to: in(Changing), do: ignoreFact},
		{on: Exited, when: ifOldExit, to: in(Changing), do: ignoreFact},
		{on: Exited, to: in(Changing), do: keepExit},
		{on: ExitExplained, to: in(Changing), do: explainExit},
		{on: BeatSeen, to: in(Changing), do: ignoreFact},
		{on: BeatLate, to: in(Changing), do: ignoreFact},
		{on: HealthPassed, to: in(Changing), do: ignoreFact},
		{on: HealthFailed, to: in(Changing), do: ignoreFact},
		{on: OperatorStart, to: in(Changing), do: interruptChange},
		{on: OperatorRestart, to: in(Changing), do: interruptChange},
		{on: OperatorStop, to: in(Changing), do: interruptChange},
		{on: OperatorChange, to: in(Changing), do: interruptChange},
		{on: ChangeCompleted, to: in(Installed, Waiting, Running, Degraded, Stopping, Stopped, Removed), do: completeChange},
		{on: RefreshDue, to: in(Changing), do: ignoreFact},
	},
	Removed: {
		{on: ChangeGranted, to: in(Changing), do: beginChange}, // it is about to be installed
	},
}
