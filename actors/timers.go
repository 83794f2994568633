package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
)

// timerKind is the kind of a timer.
type timerKind uint8

const (
	timerScan timerKind = iota
	timerPull
	timerUpdate
	timerInventory
	timerRefresh
	timerHealthy
	timerSilence
	timerBudget
	timerSave
	timerRecheck
	timerPending
	timerChecks
	timerRecords
)

// periodTimers are the timers of the periods.
var periodTimers = [policy.PeriodCount]timerKind{
	policy.ScanPeriod: timerScan, policy.PullPeriod: timerPull, policy.UpdatePeriod: timerUpdate, policy.InventoryPeriod: timerInventory,
}

// pluginTimers are the timers of single plugins.
var pluginTimers = map[policy.TimerKind]timerKind{
	policy.TimerHealthy: timerHealthy, policy.TimerSilence: timerSilence, policy.TimerRefresh: timerRefresh,
}

// timerKey identifies a timer; key is the plugin's key for a timer of a plugin.
type timerKey struct {
	kind timerKind
	key  string
}

// dueMessage returns the message that the timer sends.
func (k timerKey) dueMessage(gen uint64) any {
	switch k.kind {
	case timerScan:
		return messages.ScanDue{Gen: gen}
	case timerPull:
		return messages.PullDue{Gen: gen}
	case timerUpdate:
		return messages.UpdateDue{Gen: gen}
	case timerInventory:
		return messages.InventoryDue{Gen: gen}
	case timerRefresh:
		return messages.RefreshDue{Gen: gen, Key: k.key}
	case timerHealthy:
		return messages.HealthyDue{Gen: gen, Key: k.key}
	case timerSilence:
		return messages.SilenceDue{Gen: gen, Key: k.key}
	case timerBudget:
		return messages.BudgetDue{Gen: gen}
	case timerSave:
		return messages.SaveDue{Gen: gen}
	case timerRecheck:
		return messages.RecheckDue{Gen: gen}
	case timerChecks:
		return messages.ChecksDue{Gen: gen}
	case timerRecords:
		return messages.RecordsDue{Gen: gen}
	default:
		return messages.PendingDue{Gen: gen}
	}
}

// timers holds the timers that are set, at most one for each key. One that was set
// anew or stopped does not fire, even if its message was sent already.
type timers struct {
	root *actor.RootContext
	self *actor.PID
	set  map[timerKey]setTimer
	gen  uint64
}

type setTimer struct {
	gen   uint64
	due   time.Time // of a period
	timer *time.Timer
}

// arm sets a timer; it replaces the one that was set before.
func (t *timers) arm(key timerKey, after time.Duration) {
	t.stop(key)
	if t.set == nil {
		t.set = map[timerKey]setTimer{}
	}
	t.gen++
	root, self, message := t.root, t.self, key.dueMessage(t.gen)
	t.set[key] = setTimer{gen: t.gen, timer: callAfter(after, func() { root.Send(self, message) })}
}

// armOnce sets a timer, unless it is set.
func (t *timers) armOnce(key timerKey, after time.Duration) {
	if !t.isArmed(key) {
		t.arm(key, after)
	}
}

// armAt sets the timer of a period, unless it is set for that due time.
func (t *timers) armAt(key timerKey, due, now time.Time) {
	if s, ok := t.set[key]; ok && s.due.Equal(due) {
		return
	}
	t.arm(key, due.Sub(now))
	s := t.set[key]
	s.due = due
	t.set[key] = s
}

// forgetDue makes armAt set the timers of the periods anew, because the wall clock
// was set.
func (t *timers) forgetDue() {
	for _, kind := range periodTimers {
		if s, ok := t.set[timerKey{kind: kind}]; ok {
			s.due = time.Time{}
			t.set[timerKey{kind: kind}] = s
		}
	}
}

// takeFired reports whether the message with this gen is from the current setting of
// the timer, and removes the timer then.
func (t *timers) takeFired(key timerKey, gen uint64) bool {
	s, ok := t.set[key]
	if !ok || s.gen != gen {
		return false
	}
	delete(t.set, key)
	return true
}

func (t *timers) isArmed(key timerKey) bool {
	_, ok := t.set[key]
	return ok
}

func (t *timers) stop(key timerKey) {
	if s, ok := t.set[key]; ok {
		s.timer.Stop()
		delete(t.set, key)
	}
}

// stopAll stops all timers: none fires after a shutdown (TM-08).
func (t *timers) stopAll() {
	for key := range t.set {
		t.stop(key)
	}
}
