package actors

import (
	"maps"
	"slices"

	"pluginsupervisor/plugin"
)

// maxEvents bounds the events that wait for delivery. Beyond it the oldest is
// dropped, which is logged: a control plane that takes reports but no events
// for months must not fill the disk.
const maxEvents = 1000

// outbox holds the events that are owed, one of which is on its way at a time
// (SPEC 3: events are owed like reports).
type outbox struct {
	events  map[uint64]plugin.Event
	seq     uint64
	sending uint64          // sequence of the one on its way, 0 if none
	held    bool            // nothing is sent yet
	refused map[uint64]bool // not tried again before something new is to be sent (SC-20)
	saving  *changes
}

func newOutbox(m plugin.Memory, saving *changes) *outbox {
	b := &outbox{events: maps.Clone(m.Events), refused: map[uint64]bool{}, saving: saving}
	if b.events == nil {
		b.events = map[uint64]plugin.Event{}
	}
	for seq := range b.events {
		b.seq = max(b.seq, seq)
	}
	return b
}

// add owes an event. A new inventory replaces the one that was not delivered
// (LR-04). It returns what had to be dropped to make room, if anything.
func (b *outbox) add(e plugin.Event) (dropped *plugin.Event) {
	if e.ID == plugin.EventLocalList {
		for seq, old := range b.events {
			if old.ID == plugin.EventLocalList {
				b.remove(seq)
			}
		}
	}
	if len(b.events) >= maxEvents {
		oldest := slices.Min(slices.Collect(maps.Keys(b.events)))
		old := b.events[oldest]
		b.remove(oldest)
		dropped = &old
	}
	b.seq++
	b.events[b.seq] = e
	b.saving.event(b.seq, &e)
	clear(b.refused)
	return dropped
}

func (b *outbox) remove(seq uint64) {
	delete(b.events, seq)
	delete(b.refused, seq)
	b.saving.event(seq, nil)
	if b.sending == seq {
		b.sending = 0
	}
}

// next is the oldest event to send; ok is false when one is on its way
// already or there is nothing to send now.
func (b *outbox) next() (seq uint64, e plugin.Event, ok bool) {
	if b.sending != 0 || b.held {
		return 0, plugin.Event{}, false
	}
	for s := range b.events {
		if !b.refused[s] && (seq == 0 || s < seq) {
			seq = s
		}
	}
	if seq == 0 {
		return 0, plugin.Event{}, false
	}
	b.sending = seq
	return seq, b.events[seq], true
}

// delivered settles an event.
func (b *outbox) delivered(seq uint64) {
	if _, ok := b.events[seq]; ok {
		b.remove(seq)
	}
}

// failed is told that the Reporter gave an event up: the others go on, this
// one waits for the next occasion.
func (b *outbox) failed(seq uint64) {
	if _, ok := b.events[seq]; ok {
		b.refused[seq] = true
	}
	if b.sending == seq {
		b.sending = 0
	}
}

// again makes refused events eligible once more.
func (b *outbox) again() { clear(b.refused) }
