package policy

import (
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

var commandVerbs = map[FactKind]messages.AttemptKind{
	OperatorStart: messages.KindStart, OperatorStop: messages.KindStop, OperatorRestart: messages.KindRestart,
}

// noteCommand saves an operator's command before it is carried out (EV-14).
func noteCommand(t *turn) {
	r := &t.l.Record
	r.Cause = t.f.Cause
	if t.f.Kind == OperatorStop {
		r.Stopped, r.StopPending = true, true
	} else { // a command resets the failures
		r.Stopped, r.StopPending, r.Failures = false, false, 0
	}
	t.addEntry(plugin.Entry{Kind: plugin.EntryOperator, Cause: t.f.Cause})
	t.saveRecordSynced()
}

// applyCommand carries out an operator's command at once.
func applyCommand(t *turn) {
	noteCommand(t)
	spawnCommand(t, commandVerbs[t.f.Kind], t.f.Force)
}

// cancelForCommand cancels the attempt; the operator's command follows.
func cancelForCommand(t *turn) {
	noteCommand(t)
	t.cancelAttempt(then{kind: thenCommand, verb: commandVerbs[t.f.Kind], force: t.f.Force})
}

// commandAfterCancel lets a command follow the attempt that is being cancelled.
func commandAfterCancel(t *turn) {
	noteCommand(t)
	if !t.l.isLeaving() {
		t.replaceThen(then{kind: thenCommand, verb: commandVerbs[t.f.Kind], force: t.f.Force})
	}
}

// spawnCommand spawns the Restarter that carries out an operator's command.
func spawnCommand(t *turn, verb messages.AttemptKind, force bool) {
	t.leaveRunning()
	t.spawnRestarter(messages.Attempt{Kind: verb, CheckFirst: verb == messages.KindStart, Force: force}, attempt{operator: true}, t.l.Record.Cause)
}

// stopAgain carries out a stop that an earlier supervisor process accepted and did
// not complete (EV-14).
func stopAgain(t *turn) {
	if len(t.f.Processes) > 0 {
		t.l.run, t.l.processes = t.f.RunID, t.f.Processes
	}
	spawnCommand(t, messages.KindStop, false)
}
