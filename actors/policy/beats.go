package policy

import (
	"time"

	"pluginsupervisor/plugin"
)

// noteBeat keeps the beat.
func noteBeat(t *turn) {
	t.l.beat = heartbeat{Heartbeat: t.f.Beat, age: t.f.Age, at: t.env.Now, byEvent: t.f.ByEvent}
}

// beatInTime notes a beat of a running plugin.
func beatInTime(t *turn) {
	noteBeat(t)
	if t.l.beat.readable() {
		t.emit(Disarm{TimerSilence})
		t.proveHealthy()
	}
}

// beatAgain ends the degradation of a plugin that beats again.
func beatAgain(t *turn) {
	noteBeat(t)
	if !t.l.beat.readable() {
		return
	}
	t.emit(Disarm{TimerSilence})
	t.note(plugin.Entry{Kind: plugin.EntryHeartbeat, Cause: "beats again"})
	t.move(running{t.uptime()}, "beats again")
	t.emit(Report{Status: plugin.StatusRunning})
	t.proveHealthy()
}

// awaitBeat gives a plugin that was just started the time to beat.
func awaitBeat(t *turn) {
	noteBeat(t)
	t.armSilence()
}

// degradeSilent notes that the heartbeat is overdue, which `--status` has to
// explain at once (PL-17, EV-06).
func degradeSilent(t *turn) {
	noteBeat(t)
	cause := "no heartbeat for " + t.l.beat.ageAt(t.env.Now).Truncate(time.Second).String()
	t.note(plugin.Entry{Kind: plugin.EntryHeartbeat, Cause: cause, Decision: "ask --status"})
	t.move(degraded{t.uptime()}, cause)
	t.emit(Report{Status: plugin.StatusFailed})
	t.emit(Check{})
	t.armSilence()
}

// stillSilent asks again.
func stillSilent(t *turn) {
	noteBeat(t)
	t.emit(Check{})
	t.armSilence()
}

// armSilence has the plugin checked when it has been silent for so long that
// it hangs (PL-17).
func (t *turn) armSilence() {
	limit := hangIntervals*t.l.Plugin.HeartbeatInterval + time.Second // beats are whole seconds
	if after := limit - t.l.silentFor(t.env.Now); after > 0 {
		t.emit(Arm{TimerSilence, after})
	}
}

func degradeUnhealthy(t *turn) {
	cause := "health check failed: " + t.f.Cause
	t.note(plugin.Entry{Kind: plugin.EntryHeartbeat, Cause: cause, Decision: "ask --status"})
	t.move(degraded{t.uptime()}, cause)
	t.emit(Report{Status: plugin.StatusFailed})
	t.emit(Check{})
}

func healthyAgain(t *turn) {
	t.note(plugin.Entry{Kind: plugin.EntryHeartbeat, Cause: "health check passes again"})
	t.move(running{t.uptime()}, "health check passes again")
	t.emit(Report{Status: plugin.StatusRunning})
	t.proveHealthy()
}
