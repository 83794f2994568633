package policy

import (
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// nodeKey is a node without its times and numbers: two nodes with the same key
// behave in the same way.
type nodeKey struct {
	phase                PhaseKind
	typ                  plugin.Type
	duplicate            bool
	stopped, stopPending bool
	up, fails            bool
	ran, processes       bool
	requested            plugin.Request
	attempt              attemptKey
	uptime               uptimeKey
	then                 thenKey
	change               plugin.ChangeKind
	before               PhaseKind // at the grant of the change
	lastStart            ageKey
	beat                 ageKey
	afterStart           bool // a heartbeat came since it runs
	world                world
}

type attemptKey struct {
	verb            messages.AttemptKind
	operator, begun bool
	exit            int8
	held            bool // the exit came while another program worked on the plugin
}

type uptimeKey struct {
	old, unproven, firstRun, reattached bool
}

type thenKey struct {
	what     thenKind
	verb     messages.AttemptKind
	change   plugin.ChangeKind
	before   plugin.Status
	was      PhaseKind
	unproven bool
}

// ageKey is the class of an age, by the limits of heartbeats.
type ageKey uint8

const (
	ageNone ageKey = iota
	ageYoung
	ageLate
	ageHung
)

func classifyAge(d time.Duration) ageKey {
	switch {
	case d <= time.Minute+plugin.HeartbeatGrace:
		return ageYoung
	case d <= hangIntervals*time.Minute:
		return ageLate
	default:
		return ageHung
	}
}

func (n *node) key() nodeKey {
	l, r := n.l, n.l.Record
	k := nodeKey{phase: l.Phase()}
	if k.phase == Removed { // the last node, or the start of an installation
		return k
	}
	k.typ, k.duplicate = l.Plugin.Type, l.Plugin.Duplicate
	k.stopped, k.stopPending, k.up, k.requested = r.Stopped, r.StopPending, !r.RunningSince.IsZero(), r.Requested
	k.fails, k.ran, k.world = r.Failures > 0, l.ran, n.world
	k.world.id = 0
	k.lastStart, k.beat = min(n.age(r.Last), ageYoung), min(n.heartbeatAge(), ageYoung)
	a := l.currentAttempt()
	k.attempt = attemptKey{verb: a.verb, begun: a.begun, exit: n.exitKey(a.exit), held: a.exit != nil && a.exit.LockHeld}
	switch ph := l.phase.(type) {
	case waiting:
		k.attempt.operator = a.operator
	case running:
		n.runningKey(&k, ph.uptime)
	case degraded:
		n.runningKey(&k, ph.uptime)
	case installed, left, stopped:
		k.processes = len(l.processes) > 0
	case cancelling:
		k.then = thenKey{what: ph.then.kind, verb: ph.then.verb, change: ph.then.change.Kind, before: ph.then.before}
		switch ph.then.kind {
		case thenRunning:
			k.then.unproven = ph.then.up.unproven
		case thenChange:
			k.then.was = ph.then.was.phaseKind()
		}
	case changing:
		k.change, k.before, k.attempt.exit = ph.change.Kind, ph.before.phaseKind(), n.exitKey(ph.exit)
		k.attempt.held = ph.exit != nil && ph.exit.LockHeld
	}
	return k
}

// runningKey sets the fields of a plugin that runs, for which the ages of the last
// start and heartbeat matter.
func (n *node) runningKey(k *nodeKey, up uptime) {
	k.processes = len(n.l.processes) > 0
	k.uptime = uptimeKey{n.now.Sub(up.since) >= exploreConfig.HealthyAfter, up.unproven, up.firstRun, up.reattached}
	k.lastStart, k.beat = n.age(n.l.Record.Last), n.heartbeatAge()
	k.afterStart = n.l.beat.isReadable() && n.l.beat.ageAt(n.now) < n.now.Sub(up.since)+heartbeatSlack
}

func (n *node) age(of plugin.Moment) ageKey {
	if of.IsZero() {
		return ageNone
	}
	return classifyAge(n.now.Sub(of))
}

func (n *node) heartbeatAge() ageKey {
	if !n.l.beat.isReadable() {
		return ageNone
	}
	return classifyAge(n.l.beat.ageAt(n.now))
}

// exitKey returns the relation of a stored exit to the known run.
func (n *node) exitKey(e *plugin.Exit) int8 {
	switch {
	case e == nil:
		return 0
	case e.RunID < n.l.run:
		return 1
	case e.RunID == n.l.run:
		return 2
	default:
		return 3
	}
}
