package policy

import (
	"maps"
	"slices"

	"pluginsupervisor/plugin"
)

// MaxEvents bounds the events that wait for delivery. Beyond it the oldest is
// dropped, which is logged: a control plane that takes reports but no events
// for months must not fill the disk.
const MaxEvents = 1000

// Events holds the events that wait for delivery, one of which is on its way
// at a time (SPEC 3).
type Events struct {
	waiting  map[uint64]plugin.Event
	seq      uint64
	sending  uint64          // sequence of the one on its way, 0 if none
	heldBack bool            // nothing is sent yet
	refused  map[uint64]bool // not tried again before the next occasion (SC-20)
	trial    uint64          // the refused one that is tried first at an occasion; 0: none
	batch    *Batch
}

// NewEvents returns the events that an earlier process left.
func NewEvents(m plugin.Memory, batch *Batch) *Events {
	e := &Events{waiting: map[uint64]plugin.Event{}, refused: map[uint64]bool{}, batch: batch}
	maps.Copy(e.waiting, m.Events)
	for seq := range e.waiting {
		e.seq = max(e.seq, seq)
	}
	return e
}

// Add has an event delivered. A new inventory replaces the one that was not
// delivered (LR-04). It returns what had to be dropped for it, if anything.
func (e *Events) Add(event plugin.Event) (dropped *plugin.Event) {
	if event.ID == plugin.EventLocalList {
		for seq, old := range e.waiting {
			if old.ID == plugin.EventLocalList {
				e.remove(seq)
			}
		}
	}
	if len(e.waiting) >= MaxEvents {
		oldest := slices.Min(slices.Collect(maps.Keys(e.waiting)))
		old := e.waiting[oldest]
		e.remove(oldest)
		dropped = &old
	}
	e.seq++
	e.waiting[e.seq] = event
	e.batch.setEvent(e.seq, &event)
	return dropped
}

func (e *Events) remove(seq uint64) {
	delete(e.waiting, seq)
	delete(e.refused, seq)
	e.batch.setEvent(seq, nil)
	if e.sending == seq {
		e.sending = 0
	}
	if e.trial == seq {
		e.trial = 0
	}
}

// HoldBack keeps events back until Release.
func (e *Events) HoldBack() { e.heldBack = true }

// Release lets events be sent.
func (e *Events) Release() { e.heldBack = false }

// Next returns the oldest event to send; ok is false when one is on its way
// already or there is nothing to send now.
func (e *Events) Next() (seq uint64, event plugin.Event, ok bool) {
	if e.sending != 0 || e.heldBack {
		return 0, plugin.Event{}, false
	}
	if seq = e.trial; seq == 0 {
		for s := range e.waiting {
			if !e.refused[s] && (seq == 0 || s < seq) {
				seq = s
			}
		}
	}
	if seq == 0 {
		return 0, plugin.Event{}, false
	}
	e.sending = seq
	return seq, e.waiting[seq], true
}

// MarkDelivered settles an event. When it was the trial of those that had been
// refused, the others are tried again too.
func (e *Events) MarkDelivered(seq uint64) {
	if _, ok := e.waiting[seq]; !ok {
		return
	}
	if e.trial == seq {
		clear(e.refused)
	}
	e.remove(seq)
}

// MarkRefused notes that an event was refused: the others go on, this one waits for
// the next occasion.
func (e *Events) MarkRefused(seq uint64) {
	if _, ok := e.waiting[seq]; ok {
		e.refused[seq] = true
	}
	if e.trial == seq {
		e.trial = 0
	}
	if e.sending == seq {
		e.sending = 0
	}
}

// RetryRefused is an occasion to try what was refused: the oldest of it, as a trial.
func (e *Events) RetryRefused() {
	if e.trial != 0 || len(e.refused) == 0 {
		return
	}
	e.trial = slices.Min(slices.Collect(maps.Keys(e.refused)))
}

// ResendInFlight has the event that was on its way sent again: the Reporter has
// forgotten it.
func (e *Events) ResendInFlight() { e.sending = 0 }

// Count returns how many events wait.
func (e *Events) Count() int { return len(e.waiting) }
