package policy

import (
	"time"

	"pluginsupervisor/plugin"
)

// hangIntervals is the number of intervals without a heartbeat after which a
// running plugin counts as hung (PL-17).
const hangIntervals = 3

// heartbeatSlack is the time that the first heartbeat of a run may be earlier than
// the known start of the run: files have whole seconds, and a plugin may write one
// before it is seen running.
const heartbeatSlack = 2 * time.Second

// heartbeat is the last heartbeat, with its age by the monotonic clock.
type heartbeat struct {
	plugin.Heartbeat
	age     time.Duration // at that moment
	at      plugin.Moment // when it was read or arrived
	byEvent bool
}

// isReadable reports whether there is a heartbeat and it could be read.
func (h heartbeat) isReadable() bool { return h.Found && h.Err == nil }

// ageAt returns the age of the heartbeat now: its age at its arrival, plus the
// monotonic time since (PL-08, EV-06).
func (h heartbeat) ageAt(now plugin.Moment) time.Duration { return h.age + now.Sub(h.at) }

// HeartbeatFact returns the fact of a heartbeat: in time, late, or unknown (PL-05
// to PL-10). age is by the date in the file; if the same heartbeat arrived by event
// before, the age at that time counts, whatever the wall clock says now (EV-06).
func (l *Lifecycle) HeartbeatFact(b plugin.Heartbeat, age time.Duration, byEvent bool, now plugin.Moment) Fact {
	f := Fact{Kind: HeartbeatSeen, Heartbeat: b, Age: max(age, 0), ByEvent: byEvent}
	if !byEvent && l.beat.byEvent && l.beat.isReadable() && b.Found && b.Err == nil && b.Last.Equal(l.beat.Last) {
		f.Age, f.ByEvent = l.beat.ageAt(now), true
	}
	if b.Found && b.Err == nil && isOverdueAge(f.Age, b.Plugin) {
		f.Kind = HeartbeatLate
	}
	return f
}

// isOverdueAge reports whether a heartbeat of that age is overdue: older than its
// interval plus the grace, in whole seconds as the file has them (PL-08).
func isOverdueAge(age time.Duration, p plugin.Plugin) bool {
	return age.Truncate(time.Second) > p.HeartbeatInterval+plugin.HeartbeatGrace
}

// DistrustHeartbeatEvents makes the dates in the files count for the ages of
// heartbeats, because the events fail.
func (l *Lifecycle) DistrustHeartbeatEvents() { l.beat.byEvent = false }

// HeartbeatErrChanged reports whether a heartbeat file cannot be read, for another
// reason than before.
func (l *Lifecycle) HeartbeatErrChanged(b plugin.Heartbeat) bool {
	return b.Err != nil && (l.beat.Err == nil || l.beat.Err.Error() != b.Err.Error())
}

// isOverdue reports whether the plugin has a heartbeat and that is late (PL-08).
func (l *Lifecycle) isOverdue(now plugin.Moment) bool {
	return l.beat.isReadable() && isOverdueAge(l.beat.ageAt(now), l.Plugin)
}

// silentFor returns the time since the last heartbeat or the last start, whichever
// is later.
func (l *Lifecycle) silentFor(now plugin.Moment) time.Duration {
	silent := l.beat.ageAt(now)
	if !l.Record.Last.IsZero() {
		silent = min(silent, now.Sub(l.Record.Last))
	}
	return silent
}

// isHung reports whether a running plugin has sent no heartbeat for hangIntervals
// (PL-17).
func (l *Lifecycle) isHung(now plugin.Moment) bool {
	return l.isOverdue(now) && l.silentFor(now) > hangIntervals*l.Plugin.HeartbeatInterval
}

// hadTimeForHeartbeat reports whether a heartbeat is due since the last start.
func (l *Lifecycle) hadTimeForHeartbeat(now plugin.Moment) bool {
	return l.Record.Last.IsZero() || now.Sub(l.Record.Last) > l.Plugin.HeartbeatInterval+plugin.HeartbeatGrace
}

// isHealthy reports whether the plugin, seen running now, counts as healthy: it has
// run long enough since its start, and has sent a heartbeat if it ever does
// (RS-05).
func (l *Lifecycle) isHealthy(up uptime, now plugin.Moment, after time.Duration) bool {
	if now.Sub(up.since) < after {
		return false
	}
	return !l.beat.isReadable() || l.beat.ageAt(now) < now.Sub(up.since)+heartbeatSlack
}
