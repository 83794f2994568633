package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// unit is what the Coordinator knows of one plugin and is doing about it.
//
//	            ┌────────────── --status says running ──────────────┐
//	            │                                                   ▼
//	       installed ──not running──▶ starting ──it runs──────▶ running ◀──beats again── degraded
//	                                   ▲    │                    │    └──heartbeat overdue──▲ │
//	          the next try is due ─────┤    └─failed again───┐   │ dead, or silent too long   │
//	                                   │                     ▼   ▼                            │
//	                                   └───────────────── crash-loop, or starting ◀───────────┘
//
//	any ──operator──▶ stopping ──▶ stopped ──operator──▶ starting
//	any ──offer granted──▶ upgrading ──▶ running, starting, or what it was
//	any ──record gone──▶ removed
//
// crash-loop is a plugin that failed again before it was healthy and waits
// out its backoff; starting is one whose first restart is pending or under way.
type unit struct {
	plugin plugin.Plugin

	state  plugin.State
	since  time.Time
	why    string    // what brought it into this state
	next   string    // what will happen next
	nextAt time.Time // and when

	restarts  plugin.Restarts  // durable
	attempt   *attempt         // the one Restarter that is alive (RS-04)
	again     string           // cause to mend it for once the attempt has ended, "" for none
	wanted    messages.Kind    // what an operator wants once the attempt has ended …
	operator  bool             // … if this is set
	ran       bool             // it was seen running
	runs      time.Time        // since when it is known to run; zero when it is not
	probation bool             // it was started and has not been healthy since (RS-05)
	beat      plugin.Beat      // of the last pull or pulse
	vouched   bool             // by the last pulse it beats in time, whatever the wall clock says (EV-06)
	debut     bool             // it runs since its first start ever (EV-05)
	life      uint64           // number of what runs, or ran last (plugin.Exit)
	processes []plugin.Process // what it runs as, as far as known
	inherited bool             // adopted, and has not said yet that it runs
	gone      *plugin.Exit     // of what the attempt under way has started
	fell      time.Time        // when the event told that it ended; zero once it runs again
	untold    bool             // it changed since the control plane last acknowledged something of it
	upgrading bool             // it belongs to the Upgrader, or will as soon as the attempt has ended (UP-10)
	before    plugin.State     // what it was before the upgrade
	removed   bool             // its record is gone; it is forgotten when the attempt has ended
}

// attempt is a Restarter that is alive.
type attempt struct {
	id         uint64
	pid        *actor.PID
	kind       messages.Kind
	operator   bool // told by an operator
	resumed    bool // an earlier life began it
	begun      bool // it has its slot: its verb runs
	cancelling bool
}

// mayMend tells whether the supervisor may start or restart the plugin: not a
// duplicate (ST-10), one an operator stopped (EV-14), one that is being
// upgraded (UP-10), removed, or cared for already (RS-04).
func (u *unit) mayMend() bool {
	return !u.plugin.Duplicate && !u.restarts.Stopped && !u.upgrading && !u.removed && u.attempt == nil && u.plugin.Type == plugin.Persist
}

// overdue tells whether the plugin has a heartbeat and it is late (PL-08).
func (u *unit) overdue(now time.Time) bool {
	return u.beat.Found && u.beat.Err == nil && !u.vouched && u.beat.Status(now) == plugin.StatusFailed
}

// hangs tells whether a running plugin has been silent for three intervals
// since its last beat or its last start, whichever is later (PL-17).
func (u *unit) hangs(now time.Time) bool {
	if !u.overdue(now) {
		return false
	}
	latest := u.beat.Last
	if u.restarts.Last.Wall.After(latest) {
		latest = u.restarts.Last.Wall
	}
	return now.Sub(latest) > hangsAfter*u.plugin.HeartbeatInterval
}

// hangsAfter is after how many intervals without a beat a running plugin hangs (PL-17).
const hangsAfter = 3

// healthy tells whether the plugin, seen running now, has proved itself since
// its start: it was seen running long enough after, and beat if it ever does (RS-05).
func (u *unit) healthy(now time.Time, after time.Duration) bool {
	if u.runs.IsZero() || now.Sub(u.runs) < after {
		return false
	}
	return !u.beat.Found || u.beat.Err != nil || u.beat.Last.After(u.runs.Add(-beatSlack))
}

// beatSlack is how much older than a start the first beat after it may look:
// files have whole seconds, and a plugin may beat before it is seen to run.
const beatSlack = 2 * time.Second

// view is the plugin as status shows it.
func (u *unit) view(l *ledger, how plugin.Watch) plugin.View {
	key := u.plugin.Key()
	_, owed := l.owed[key]
	v := plugin.View{
		Name: u.plugin.Name, Version: u.plugin.Version, Type: u.plugin.Type,
		State: u.state, Since: u.since, Why: u.why, Next: u.next, NextAt: u.nextAt,
		Restarts: u.restarts.Count, Failures: u.restarts.Failures,
		Acked: l.acked[key].Status, Owed: owed, Duplicate: u.plugin.Duplicate,
		Verified: u.plugin.Verified,
	}
	if len(u.processes) > 0 {
		v.Watch = how
		for _, p := range u.processes {
			v.PIDs = append(v.PIDs, p.PID)
		}
	}
	if u.beat.Found && u.beat.Err == nil && !u.beat.Last.Before(u.restarts.Last.Wall.Truncate(time.Second)) { // not of the life before
		v.Beat, v.Interval = u.beat.Last, u.plugin.HeartbeatInterval.Seconds()
	}
	return v
}
