package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// alarmKind is what an alarm is for.
type alarmKind uint8

const (
	alarmScan alarmKind = iota // the first four are the periods, in the order of periodNames
	alarmPull
	alarmUpdate
	alarmInventory
	alarmRefresh
	alarmHealthy
	alarmSilence
	alarmBudget
	alarmSave
	alarmOwed
)

type alarmKey struct {
	kind alarmKind
	key  string // of the plugin, for alarms that are about one
}

// alarms are the timers that are set, at most one for each key. One that was
// set anew or stopped does not ring, even if its message is under way.
type alarms struct {
	set map[alarmKey]ticking
	gen uint64
}

type ticking struct {
	gen   uint64
	timer *time.Timer
}

// arm sets the alarm, in place of the one that was set before.
func (a *alarms) arm(c actor.Context, key alarmKey, after time.Duration, message func(gen uint64) any) {
	a.stop(key)
	if a.set == nil {
		a.set = map[alarmKey]ticking{}
	}
	a.gen++
	a.set[key] = ticking{a.gen, alarm(c, max(after, 0), message(a.gen))}
}

// rings tells whether the message with this gen is from the alarm as it is
// set now, and takes it down.
func (a *alarms) rings(key alarmKey, gen uint64) bool {
	t, ok := a.set[key]
	if !ok || t.gen != gen {
		return false
	}
	delete(a.set, key)
	return true
}

func (a *alarms) armed(key alarmKey) bool {
	_, ok := a.set[key]
	return ok
}

func (a *alarms) stop(key alarmKey) {
	if t, ok := a.set[key]; ok {
		t.timer.Stop()
		delete(a.set, key)
	}
}

// stopAll takes all alarms down: nothing fires after a shutdown (TM-08).
func (a *alarms) stopAll() {
	for key := range a.set {
		a.stop(key)
	}
}
