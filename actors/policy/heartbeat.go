package policy

import (
	"time"

	"pluginsupervisor/plugin"
)

// hangIntervals is how many intervals without a beat make a running plugin
// hang (PL-17).
const hangIntervals = 3

// heartbeatSlack is how much earlier than the known start of a run its first beat
// may be: files have whole seconds, and a plugin may beat before it is seen
// running.
const heartbeatSlack = 2 * time.Second

// heartbeat is the last beat, and its age by a clock that cannot be set.
type heartbeat struct {
	plugin.Heartbeat
	age     time.Duration // when it was read or came
	at      plugin.Moment // that moment
	byEvent bool
}

// isReadable reports whether there is a heartbeat that says something.
func (h heartbeat) isReadable() bool { return h.Found && h.Err == nil }

// ageAt returns how old the beat is now: its age when it came, plus the
// monotonic time since (PL-08, EV-06).
func (h heartbeat) ageAt(now plugin.Moment) time.Duration { return h.age + now.Sub(h.at) }

// HeartbeatFact returns the fact that a heartbeat is: in time, late, or nothing
// known (PL-05 to PL-10). age is by the beat's own date; a beat that came by
// event before keeps the age that it had then, whatever the wall clock says now
// (EV-06).
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

// isOverdueAge reports whether a beat of that age is overdue: more than its interval
// and the grace, in whole seconds as the file has them (PL-08).
func isOverdueAge(age time.Duration, p plugin.Plugin) bool {
	return age.Truncate(time.Second) > p.HeartbeatInterval+plugin.HeartbeatGrace
}

// DistrustHeartbeatEvents forgets that beats came by event: while the events fail, only
// the files count.
func (l *Lifecycle) DistrustHeartbeatEvents() { l.beat.byEvent = false }

// HeartbeatErrChanged reports whether a beat says something else about the file than
// the one before: it cannot be read, for another reason.
func (l *Lifecycle) HeartbeatErrChanged(b plugin.Heartbeat) bool {
	return b.Err != nil && (l.beat.Err == nil || l.beat.Err.Error() != b.Err.Error())
}

// isOverdue reports whether the plugin has a heartbeat and it is late (PL-08).
func (l *Lifecycle) isOverdue(now plugin.Moment) bool {
	return l.beat.isReadable() && isOverdueAge(l.beat.ageAt(now), l.Plugin)
}

// silentFor returns the time since the last beat or the last start, whichever
// is later.
func (l *Lifecycle) silentFor(now plugin.Moment) time.Duration {
	silent := l.beat.ageAt(now)
	if !l.Record.Last.IsZero() {
		silent = min(silent, now.Sub(l.Record.Last))
	}
	return silent
}

// isHung reports whether a running plugin has been silent for three intervals
// (PL-17).
func (l *Lifecycle) isHung(now plugin.Moment) bool {
	return l.isOverdue(now) && l.silentFor(now) > hangIntervals*l.Plugin.HeartbeatInterval
}

// hadTimeForHeartbeat reports whether a plugin that was started has had the time for
// a beat since.
func (l *Lifecycle) hadTimeForHeartbeat(now plugin.Moment) bool {
	return l.Record.Last.IsZero() || now.Sub(l.Record.Last) > l.Plugin.HeartbeatInterval+plugin.HeartbeatGrace
}

// isHealthy reports whether the plugin, seen running now, has proved itself
// since its start: it was seen running long enough after it, and beat if it
// ever does (RS-05).
func (l *Lifecycle) isHealthy(up uptime, now plugin.Moment, after time.Duration) bool {
	if now.Sub(up.since) < after {
		return false
	}
	return !l.beat.isReadable() || l.beat.ageAt(now) < now.Sub(up.since)+heartbeatSlack
}
