package policy

import (
	"fmt"
	"slices"
	"testing"

	"pluginsupervisor/plugin"
)

func event(id string) plugin.Event { return plugin.Event{ID: id} }

// eventsOf returns the queue with these events.
func eventsOf(ids ...string) *Events {
	e := NewEvents(plugin.Memory{}, &Batch{})
	for _, id := range ids {
		e.Add(event(id))
	}
	return e
}

func nextEvent(e *Events) (seq uint64, id string) {
	seq, ev, _ := e.Next()
	return seq, ev.ID
}

func TestEvents(t *testing.T) {
	t.Run("LR-04 a newer inventory replaces the one not delivered", func(t *testing.T) {
		e := eventsOf(plugin.EventLocalList)
		first, _ := nextEvent(e)
		e.Add(event(plugin.EventUpdate))
		e.Add(event(plugin.EventLocalList))
		if e.Count() != 2 {
			t.Errorf("%d events", e.Count())
		}
		e.MarkDelivered(first) // replaced already
		if _, id := nextEvent(e); id != plugin.EventUpdate {
			t.Errorf("next %q", id)
		}
	})
	t.Run("one at a time, in order", func(t *testing.T) {
		e := eventsOf("one", "two")
		seq, _ := nextEvent(e)
		if _, _, ok := e.Next(); ok {
			t.Error("two events are sent at once")
		}
		e.MarkDelivered(seq)
		if _, id := nextEvent(e); id != "two" {
			t.Errorf("next %q", id)
		}
	})
}

func TestEventsRefused(t *testing.T) {
	t.Run("SC-20 a rejected event does not delay the others, and is retried on the next occasion", func(t *testing.T) {
		e := eventsOf("one", "two")
		seq, _ := nextEvent(e)
		e.MarkRefused(seq)
		seq, id := nextEvent(e)
		if id != "two" {
			t.Errorf("next %q", id)
		}
		e.MarkDelivered(seq)
		if _, _, ok := e.Next(); ok {
			t.Error("a rejected event was retried without an occasion")
		}
		e.RetryRefused()
		if _, id := nextEvent(e); id != "one" {
			t.Errorf("next %q", id)
		}
	})
	t.Run("SC-20 of many rejected events one is retried, the others when that was accepted", func(t *testing.T) {
		e := eventsOf("one", "two", "three")
		for range 3 {
			seq, _ := nextEvent(e)
			e.MarkRefused(seq)
		}
		for range 2 { // it is rejected again
			e.RetryRefused()
			e.RetryRefused()
			seq, id := nextEvent(e)
			if id != "one" {
				t.Errorf("tried %q", id)
			}
			e.MarkRefused(seq)
			if _, _, ok := e.Next(); ok {
				t.Error("a second one is tried at the same occasion")
			}
		}
		e.RetryRefused()
		var order []string
		for seq, ev, ok := e.Next(); ok; seq, ev, ok = e.Next() {
			order = append(order, ev.ID)
			e.MarkDelivered(seq)
		}
		if !slices.Equal(order, []string{"one", "two", "three"}) {
			t.Errorf("order %v", order)
		}
	})
	t.Run("held back, and sent again", func(t *testing.T) {
		e := eventsOf("one")
		e.HoldBack()
		if _, _, ok := e.Next(); ok {
			t.Error("an event is sent while events are held back")
		}
		e.Release()
		first, _ := nextEvent(e)
		e.ResendInFlight() // the Reporter has lost it
		if again, _ := nextEvent(e); again != first {
			t.Errorf("sent %d, then %d", first, again)
		}
	})
}

func TestEventsKept(t *testing.T) {
	t.Run("full: the oldest is dropped", func(t *testing.T) {
		e := eventsOf()
		for i := range MaxEvents {
			if dropped := e.Add(event(fmt.Sprint(i))); dropped != nil {
				t.Fatalf("dropped %v", dropped)
			}
		}
		if dropped := e.Add(event("last")); dropped == nil || dropped.ID != "0" {
			t.Errorf("dropped %v", dropped)
		}
		if e.Count() != MaxEvents {
			t.Errorf("%d events", e.Count())
		}
	})
	t.Run("EV-11 begins with the saved events", func(t *testing.T) {
		e := NewEvents(plugin.Memory{Events: map[uint64]plugin.Event{7: event("a"), 9: event("b")}}, &Batch{})
		var order []uint64
		for seq, _, ok := e.Next(); ok; seq, _, ok = e.Next() {
			order = append(order, seq)
			e.MarkDelivered(seq)
		}
		if !slices.Equal(order, []uint64{7, 9}) {
			t.Errorf("order %v", order)
		}
		e.Add(event("c"))
		if seq, _ := nextEvent(e); seq != 10 {
			t.Errorf("sequence %d", seq)
		}
	})
	t.Run("EV-11 each change is to be saved", func(t *testing.T) {
		b := &Batch{}
		e := NewEvents(plugin.Memory{}, b)
		e.Add(event("one"))
		if c, dirty := b.CollectChanges(nil); !dirty || !c.Sync || c.Events[1] == nil {
			t.Errorf("%+v", c)
		}
		b.MarkWritten()
		e.MarkDelivered(1)
		if c, dirty := b.CollectChanges(nil); !dirty || c.Sync || c.Events[1] != nil || len(c.Events) != 1 {
			t.Errorf("%+v", c)
		}
	})
}
