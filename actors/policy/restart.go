package policy

import (
	"fmt"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// pendingShare is the time by which each pending restart widens the random delay of
// a further one (EV-05).
const pendingShare = 50 * time.Millisecond

// restartDead restarts a plugin that does not run according to `--status` (SC-14).
func restartDead(t *turn) {
	t.restartAfter(messages.KindStart, t.f.Cause, false)
}

// restartHung restarts a plugin that runs without heartbeats (PL-17).
func restartHung(t *turn) {
	silent := t.l.beat.ageAt(t.env.Now).Truncate(time.Second)
	t.restartAfter(messages.KindRestart, "hangs: no heartbeat for "+silent.String(), false)
}

// restartExited restarts a plugin whose exit was reported by an event, at once the
// first time since it was healthy (EV-05).
func restartExited(t *turn) {
	t.recordExit()
	decideAfterExit(t)
}

// decideAfterExit plans the restart after the exit of a plugin, or leaves it to
// another program.
func decideAfterExit(t *turn) {
	if t.f.Exit.LockHeld {
		leaveToOther(t, t.f.Exit.Cause())
		t.emit(Check{}) // the lock may be free since
		return
	}
	t.l.exitedAt = t.f.Exit.At
	wait, decision := t.planRestart(t.f.Exit.Cause(), true)
	t.addExitEntry(decision)
	external := t.f.Exit.External // a replacement may not have been found, and its zombie may look alive
	t.spawnRestarter(messages.Attempt{Kind: messages.KindStart, Delay: wait, CheckFirst: t.l.Record.Failures > 0 || external, ConfirmRunning: external}, attempt{}, t.f.Exit.Cause())
}

// restartMissed restarts a plugin that exited while no supervisor ran, after
// `--status` has confirmed that (EV-09).
func restartMissed(t *turn) {
	t.l.run = max(t.l.run, t.f.RunID)
	wait, decision := t.planRestart(exitedWhileDown, true)
	t.addEntry(plugin.Entry{Kind: plugin.EntryExit, Cause: exitedWhileDown, Decision: decision})
	t.spawnRestarter(messages.Attempt{Kind: messages.KindStart, Delay: wait, CheckFirst: true, ConfirmRunning: true}, attempt{}, exitedWhileDown)
}

const exitedWhileDown = "exited while the supervisor was not running"

// restartAfter restarts a plugin that is down or hangs: at once after an event, else
// after a random part of the stagger; if it failed again before it was healthy,
// after its backoff (RS-01, RS-05).
func (t *turn) restartAfter(verb messages.AttemptKind, cause string, byEvent bool) {
	wait, _ := t.planRestart(cause, byEvent)
	unknown := t.l.phase.phaseKind() == Cancelling // the cancelled attempt may have started it
	t.spawnRestarter(messages.Attempt{Kind: verb, Delay: wait, CheckFirst: wait > 0 || unknown}, attempt{}, cause)
}

// planRestart counts a failure and returns the delay of the restart, with the
// decision in words. The first restart since the plugin was healthy has no backoff,
// nor has the first since its first start (EV-05, RS-05).
func (t *turn) planRestart(cause string, byEvent bool) (wait time.Duration, decision string) {
	r, up, cfg := &t.l.Record, t.uptime(), t.env.Config
	if up.unproven && !(byEvent && up.firstRun) {
		r.Failures++
	}
	r.Cause = cause
	t.saveRecord()
	t.leaveRunning()
	if t.l.ran {
		t.emit(CountFailure{})
	}
	switch {
	case r.Failures > 0:
		wait = nthBackoff(r.Failures, cfg.BackoffInitial, cfg.BackoffMax, t.env.Rand)
		decision = fmt.Sprintf("restart after a backoff of %v, failure %d in a row", wait.Round(time.Millisecond), r.Failures+1)
		if byEvent { // it is down for a while
			t.emit(Report{Status: plugin.StatusFailed})
		}
	case !byEvent:
		wait = RandomWithin(cfg.Stagger, t.env.Rand)
	default:
		wait = RandomWithin(min(cfg.Stagger, time.Duration(t.env.Pending())*pendingShare), t.env.Rand)
		decision = "restart at once"
		if wait > 0 {
			decision = fmt.Sprintf("restart in %v, other restarts are pending", wait.Round(time.Millisecond))
		}
	}
	if t.f.Probe.NoAnswer { // it may be running
		wait = max(wait, cfg.NoAnswer)
	}
	return wait, decision
}

// resumeStart waits for a start that an earlier supervisor process began. It has the
// plugin's deadline, and is no failure (EV-07).
func resumeStart(t *turn) {
	t.l.Record.Cause = "its start was in progress when the supervisor stopped"
	t.saveRecord()
	t.disarmAll()
	t.spawnRestarter(messages.Attempt{Kind: messages.KindStart}, attempt{resumed: true}, t.l.Record.Cause)
}

// spawnRestarter spawns the one Restarter of the plugin (RS-04), and moves to
// waiting or stopping.
func (t *turn) spawnRestarter(a messages.Attempt, own attempt, cause string) {
	own.id, own.verb = t.env.Seq, a.Kind
	a.ID, a.Plugin = own.id, t.l.Plugin
	t.emit(Disarm{TimerHealthy})
	at := t.env.Now.Wall.Add(a.Delay)
	if a.Kind == messages.KindStop {
		t.moveTo(stopping{own}, cause)
	} else {
		t.moveTo(waiting{own}, cause)
	}
	t.l.next, t.l.nextAt = a.Kind.String(), at
	if t.l.State() == plugin.StateCrashLoop {
		t.l.next = "retry"
	}
	t.emit(Spawn{Attempt: a, Operator: own.operator})
}
