package policy

import "pluginsupervisor/plugin"

// unknownCause is the cause of an exit that the kernel has not explained.
var unknownCause = plugin.Exit{}.Cause()

// recordExit records that the plugin has no process any more.
func (t *turn) recordExit() {
	t.l.run, t.l.processes = t.f.Exit.RunID, nil
	t.emit(Measure{plugin.MeasureDetection, t.f.Exit.At})
	t.emit(CountExit{})
}

// addExitEntry adds an exit and the decision to the journal.
func (t *turn) addExitEntry(decision string) {
	e := t.f.Exit
	t.addEntry(plugin.Entry{Kind: plugin.EntryExit, Cause: e.Cause(), Decision: decision, Exit: &e, Output: e.Output})
}

// noteExit records an exit that requires no action.
func noteExit(t *turn) {
	t.recordExit()
	decision := "nothing to do"
	switch ph := t.l.phase.(type) {
	case waiting:
		decision += ", a " + ph.verb.String() + " is already planned"
	case working: // a start or a restart
		decision += ", already " + ph.verb.String() + "ing"
	case stopping:
		decision += ", already stopping"
	case cancelling:
		decision += ", a " + ph.verb.String() + " is being cancelled"
	case stopped:
		decision += ", " + t.l.Record.Cause
	}
	t.addExitEntry(decision)
	t.saveDown()
}

// keepExit stores an exit during an attempt or a change; it is decided when that
// has finished (UP-13).
func keepExit(t *turn) {
	e := t.f.Exit
	switch ph := t.l.phase.(type) {
	case working:
		ph.exit = &e
		t.l.phase = ph
	case changing:
		ph.exit = &e
		t.l.phase = ph
		t.recordExit()
		t.addExitEntry("decide when the change has finished: " + ph.change.String())
	}
}

// checkProcessExit has `--status` run, because one process has exited while others
// are still running (EV-23).
func checkProcessExit(t *turn) {
	t.l.unconfirmed = t.f.Exit.RunID
	t.addExitEntry("run --status")
	t.emit(Check{})
}

// keepProcessExit has `--status` run when the attempt or change has finished, which
// started the process.
func keepProcessExit(t *turn) {
	t.l.unconfirmed = t.f.Exit.RunID
	t.addExitEntry("run --status when the attempt or change has finished")
}

// explainExit records the cause of an exit that was reported before (EV-10).
func explainExit(t *turn) {
	e, l := t.f.Exit, t.l
	if l.why == unknownCause {
		l.why = e.Cause()
	}
	if l.Record.Cause == unknownCause {
		l.Record.Cause = e.Cause()
		t.saveRecord()
	}
	t.addEntry(plugin.Entry{Kind: plugin.EntryExit, Cause: e.Cause(), Exit: &e, Output: e.Output})
}
