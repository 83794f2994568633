package policy

import (
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// isAlive reports whether processes of the plugin are known, and no exit of one that
// `--status` has to explain (EV-23).
func (l *Lifecycle) isAlive() bool { return len(l.processes) > 0 && l.unconfirmed == 0 }

// recordHealthy records that the health check passes.
func recordHealthy(t *turn) {
	t.changeUptime(func(up *uptime) { up.health, up.reattached = healthPassing, false })
}

// recoverHealth ends the degradation of a plugin whose health check passes again.
func recoverHealth(t *turn) {
	recordHealthy(t)
	t.addEntry(plugin.Entry{Kind: plugin.EntryHeartbeat, Cause: "health check passes again"})
	t.moveTo(running{t.uptime()}, "health check passes again")
	t.emit(Report{Status: plugin.StatusRunning})
	t.proveHealthy()
}

// degradeUnhealthy moves a plugin to degraded whose health check has failed as often as
// is allowed, and has `--status` run at once (AP-05).
func degradeUnhealthy(t *turn) {
	t.degrade("health check failed: "+t.f.Cause, "run --status")
	stillUnhealthy(t)
}

// stillUnhealthy has `--status` run again.
func stillUnhealthy(t *turn) {
	t.changeUptime(func(up *uptime) { up.health = healthFailing })
	t.emit(Check{})
}

// degradeFailing moves a plugin to degraded whose `--status` fails while its processes
// run and its health check has not failed as often as is allowed (AP-02). The next
// checks decide.
func degradeFailing(t *turn) {
	t.degrade(t.f.Cause, "wait for the health checks")
}

func (t *turn) degrade(cause, decision string) {
	t.addEntry(plugin.Entry{Kind: plugin.EntryHeartbeat, Cause: cause, Decision: decision})
	t.moveTo(degraded{t.uptime()}, cause)
	t.emit(Report{Status: plugin.StatusFailed})
}

// restartUnhealthy stops and starts a plugin whose health check fails, and whose
// `--status` fails, too (PL-17).
func restartUnhealthy(t *turn) {
	verb := messages.KindStart
	if t.l.isAlive() {
		verb = messages.KindRestart
	}
	t.restartAfter(verb, t.f.Cause, true)
}
