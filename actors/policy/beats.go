package policy

import (
	"time"

	"pluginsupervisor/plugin"
)

// recordHeartbeat stores the heartbeat.
func recordHeartbeat(t *turn) {
	t.l.beat = heartbeat{Heartbeat: t.f.Heartbeat, age: t.f.Age, at: t.env.Now, byEvent: t.f.ByEvent}
}

// handleTimelyHeartbeat handles a heartbeat of a running plugin.
func handleTimelyHeartbeat(t *turn) {
	recordHeartbeat(t)
	if t.l.beat.isReadable() {
		t.emit(Disarm{TimerSilence})
		t.proveHealthy()
	}
}

// recoverFromSilence ends the degradation of a plugin whose heartbeat resumed.
func recoverFromSilence(t *turn) {
	recordHeartbeat(t)
	if !t.l.beat.isReadable() {
		return
	}
	t.emit(Disarm{TimerSilence})
	t.addEntry(plugin.Entry{Kind: plugin.EntryHeartbeat, Cause: "heartbeat resumed"})
	t.moveTo(running{t.uptime()}, "heartbeat resumed")
	t.emit(Report{Status: plugin.StatusRunning})
	t.proveHealthy()
}

// awaitHeartbeat gives a plugin that was just started time for a heartbeat.
func awaitHeartbeat(t *turn) {
	recordHeartbeat(t)
	t.armSilence()
}

// degradeSilent moves a plugin whose heartbeat is overdue to degraded and has
// `--status` run at once (PL-17, EV-06).
func degradeSilent(t *turn) {
	recordHeartbeat(t)
	cause := "no heartbeat for " + t.l.beat.ageAt(t.env.Now).Truncate(time.Second).String()
	t.addEntry(plugin.Entry{Kind: plugin.EntryHeartbeat, Cause: cause, Decision: "run --status"})
	t.moveTo(degraded{t.uptime()}, cause)
	t.emit(Report{Status: plugin.StatusFailed})
	t.emit(Check{})
	t.armSilence()
}

// stillSilent has `--status` run again.
func stillSilent(t *turn) {
	recordHeartbeat(t)
	t.emit(Check{})
	t.armSilence()
}

// armSilence has the plugin checked when it has sent no heartbeat for so long that
// it hangs (PL-17).
func (t *turn) armSilence() {
	limit := hangIntervals*t.l.Plugin.HeartbeatInterval + time.Second // heartbeats are whole seconds
	if after := limit - t.l.silentFor(t.env.Now); after > 0 {
		t.emit(Arm{TimerSilence, after})
	}
}

// degradeUnhealthy moves a plugin whose health check failed to degraded.
func degradeUnhealthy(t *turn) {
	cause := "health check failed: " + t.f.Cause
	t.addEntry(plugin.Entry{Kind: plugin.EntryHeartbeat, Cause: cause, Decision: "run --status"})
	t.moveTo(degraded{t.uptime()}, cause)
	t.emit(Report{Status: plugin.StatusFailed})
	t.emit(Check{})
}

// recoverHealth ends the degradation of a plugin whose health check passes again.
func recoverHealth(t *turn) {
	t.addEntry(plugin.Entry{Kind: plugin.EntryHeartbeat, Cause: "health check passes again"})
	t.moveTo(running{t.uptime()}, "health check passes again")
	t.emit(Report{Status: plugin.StatusRunning})
	t.proveHealthy()
}
