package policy

import "pluginsupervisor/plugin"

// unknownCause is the cause of an exit as long as the kernel has not told it.
var unknownCause = plugin.Exit{}.Cause()

// recordExit notes that what ran of the plugin is gone.
func (t *turn) recordExit() {
	t.l.run, t.l.processes = t.f.Exit.RunID, nil
	t.emit(Measure{plugin.MeasureDetection, t.f.Exit.At})
	t.emit(CountExit{})
}

// addExitEntry adds an exit and what was decided to the journal.
func (t *turn) addExitEntry(decision string) {
	e := t.f.Exit
	t.addEntry(plugin.Entry{Kind: plugin.EntryExit, Cause: e.Cause(), Decision: decision, Exit: &e, Output: e.Output})
}

// noteExit notes an exit after which nothing has to be done.
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

// keepExit keeps the exit of what the work under way has started; it is
// judged when that has ended (UP-13).
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

// checkProcessExit has `--status` say what it means that one process has exited
// while others live on (EV-23).
func checkProcessExit(t *turn) {
	t.l.unconfirmed = t.f.Exit.RunID
	t.addExitEntry("run --status")
	t.emit(Check{})
}

// keepProcessExit has `--status` asked when the work under way has ended: the
// process was started by that work.
func keepProcessExit(t *turn) {
	t.l.unconfirmed = t.f.Exit.RunID
	t.addExitEntry("run --status when the attempt or change has finished")
}


// explainExit notes the cause of an exit that was reported before (EV-10).
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
