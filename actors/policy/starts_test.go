package policy

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestSlots(t *testing.T) { // RS-03
	s := NewStarts(2, 1, 0)
	now := moment(0)
	want := func(granted []uint64, want ...uint64) {
		t.Helper()
		if !slices.Equal(granted, want) {
			t.Errorf("granted %v, want %v", granted, want)
		}
	}
	request := func(attempt uint64) []uint64 {
		granted, refill := s.Request(attempt, false, now)
		if refill != 0 {
			t.Errorf("no bound, but wait %v", refill)
		}
		return granted
	}
	want(request(1), 1)
	want(request(2), 2)
	want(request(3))
	want(request(4))
	want(request(1)) // asking twice changes nothing
	want(request(3))
	want(s.Release(4)) // out of the line
	want(s.Release(1), 3)
	want(s.Release(1)) // released twice
	request(5)
	want(s.RequestCheck(2), 5) // what is down goes first
	want(s.Release(5), 2)      // then the check
	want(s.RequestCheck(2), 2) // none is in line, it keeps its slot
	request(6)
	want(s.RequestCheck(2), 6)
	want(s.Release(2)) // out of the line
	want(s.Release(6))
	want(s.Release(3))
	if s.free != 2 || len(s.taken) != 0 {
		t.Errorf("%d free, %v taken", s.free, s.taken)
	}
}

func TestBudget(t *testing.T) { // EV-13
	s := NewStarts(1000, 2, 10)
	now := moment(time.Hour)
	id := uint64(0)
	request := func(wantGranted bool, wantRefill time.Duration) {
		t.Helper()
		id++
		if granted, refill := s.Request(id, false, now); len(granted) == 1 != wantGranted || refill != wantRefill {
			t.Errorf("attempt %d: granted %v, refill %v", id, granted, refill)
		}
	}
	request(true, 0)
	request(true, 0)
	request(false, 100*time.Millisecond)
	request(false, 0) // behind the one that waits already
	if granted, _ := s.Request(99, true, now); !slices.Equal(granted, []uint64{99}) {
		t.Errorf("an operator's attempt waits for the budget: %v", granted)
	}
	now.Wall = now.Wall.Add(24 * time.Hour) // a clock that was set gives nothing
	if granted, refill := s.Refill(now); len(granted) != 0 || refill != 100*time.Millisecond {
		t.Errorf("granted %v, refill %v", granted, refill)
	}
	now = now.Add(100 * time.Millisecond)
	if granted, refill := s.Refill(now); !slices.Equal(granted, []uint64{3}) || refill != 100*time.Millisecond {
		t.Errorf("granted %v, refill %v", granted, refill)
	}
	s.Release(4) // cancelled while it waits: it costs nothing
	now = now.Add(24 * time.Hour)
	if granted, refill := s.Refill(now); len(granted) != 0 || refill != 0 {
		t.Errorf("granted %v, refill %v", granted, refill)
	}
	request(true, 0)
	request(true, 0)
	request(false, 100*time.Millisecond)
}

func TestBurst(t *testing.T) { // EV-13
	var b Burst
	tell := func(after time.Duration, key string, want int) {
		t.Helper()
		if n := b.Add(moment(after), key); n != want {
			t.Errorf("after %v %s: %d, want %d", after, key, n, want)
		}
	}
	for i := range 4 {
		tell(time.Duration(i)*time.Second, fmt.Sprint(i), 0)
	}
	tell(4*time.Second, "3", 0) // the same again is no fifth
	tell(5*time.Second, "4", 5)
	tell(6*time.Second, "5", 0) // reported once
	tell(minute, "1", 0)
	for i := range 3 {
		tell(minute, fmt.Sprint(10+i), 0)
	}
	tell(minute, "x", 5)
}
