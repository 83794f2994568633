package policy

import (
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

var commandVerbs = map[FactKind]messages.AttemptKind{
	OperatorStart: messages.KindStart, OperatorStop: messages.KindStop, OperatorRestart: messages.KindRestart,
}

// noteCommand keeps durably what an operator wants, before it is done (EV-14).
func noteCommand(t *turn) {
	r := &t.l.Record
	r.Cause = t.f.Cause
	if t.f.Kind == OperatorStop {
		r.Stopped, r.StopPending = true, true
	} else { // an operator knows better than what failed before
		r.Stopped, r.StopPending, r.Failures = false, false, 0
	}
	t.addEntry(plugin.Entry{Kind: plugin.EntryOperator, Cause: t.f.Cause})
	t.saveRecordSynced()
}

// applyCommand does what an operator wants at once.
func applyCommand(t *turn) {
	noteCommand(t)
	spawnCommand(t, commandVerbs[t.f.Kind], t.f.Force)
}

// cancelForCommand does it when the attempt under way has ended.
func cancelForCommand(t *turn) {
	noteCommand(t)
	t.cancelAttempt(then{kind: thenCommand, verb: commandVerbs[t.f.Kind], force: t.f.Force})
}

func commandAfterCancel(t *turn) {
	noteCommand(t)
	if !t.l.isLeaving() {
		t.replaceThen(then{kind: thenCommand, verb: commandVerbs[t.f.Kind], force: t.f.Force})
	}
}

// spawnCommand spawns the Restarter that does what an operator wants.
func spawnCommand(t *turn, verb messages.AttemptKind, force bool) {
	t.leaveRunning()
	t.spawnRestarter(messages.Attempt{Kind: verb, CheckFirst: verb == messages.KindStart, Force: force}, attempt{operator: true}, t.l.Record.Cause)
}

// stopAgain carries out a stop that an earlier process accepted and did not
// complete (EV-14).
func stopAgain(t *turn) {
	if len(t.f.Processes) > 0 {
		t.l.run, t.l.processes = t.f.RunID, t.f.Processes
	}
	spawnCommand(t, messages.KindStop, false)
}
