package policy

import (
	"maps"
	"slices"

	"pluginsupervisor/plugin"
)

// MaxEvents is the limit of events that wait for delivery. Above it the oldest is
// dropped and that is logged: a control plane that accepts reports but no events
// for months must not fill the disk.
const MaxEvents = 1000

// Events holds the events that wait for delivery. One of them is sent at a time
// (SPEC 3).
type Events struct {
	waiting  map[uint64]plugin.Event
	seq      uint64
	sending  uint64          // sequence of the one being sent, 0 for none
	heldBack bool            // no event may be sent
	refused  map[uint64]bool // rejected, not sent before RetryRefused (SC-20)
	trial    uint64          // the rejected one that is retried first; 0: none
	batch    *Batch
}

// NewEvents returns the events that an earlier process saved.
func NewEvents(m plugin.Memory, batch *Batch) *Events {
	e := &Events{waiting: map[uint64]plugin.Event{}, refused: map[uint64]bool{}, batch: batch}
	maps.Copy(e.waiting, m.Events)
	for seq := range e.waiting {
		e.seq = max(e.seq, seq)
	}
	return e
}

// Add adds an event. A new inventory replaces an undelivered one (LR-04). It
// returns the event that was dropped because of MaxEvents, if any.
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

// HoldBack makes Next return no event until Release.
func (e *Events) HoldBack() { e.heldBack = true }

// Release allows events to be sent.
func (e *Events) Release() { e.heldBack = false }

// Next returns the oldest event to send; ok is false when one is being sent or
// there is none to send now.
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

// MarkDelivered removes a delivered event. When it was the trial of rejected
// events, the others are retried, too.
func (e *Events) MarkDelivered(seq uint64) {
	if _, ok := e.waiting[seq]; !ok {
		return
	}
	if e.trial == seq {
		clear(e.refused)
	}
	e.remove(seq)
}

// MarkRefused marks an event as rejected: the others are sent, this one waits for
// RetryRefused.
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

// RetryRefused retries the oldest rejected event, as a trial.
func (e *Events) RetryRefused() {
	if e.trial != 0 || len(e.refused) == 0 {
		return
	}
	e.trial = slices.Min(slices.Collect(maps.Keys(e.refused)))
}

// ResendInFlight makes Next return the event that was being sent again: the
// Reporter has lost it.
func (e *Events) ResendInFlight() { e.sending = 0 }

// Count returns the number of events that wait.
func (e *Events) Count() int { return len(e.waiting) }
