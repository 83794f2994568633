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
	request := func(attempt uint64) []uint64 {
		granted, refill := s.RequestStart(attempt, false, now)
		if refill != 0 {
			t.Errorf("attempt %d waits %v for a budget without a limit", attempt, refill)
		}
		return granted
	}
	for _, step := range []struct {
		what    string
		do      func(attempt uint64) []uint64
		attempt uint64
		granted []uint64
	}{
		{"a slot is free", request, 1, []uint64{1}},
		{"and another", request, 2, []uint64{2}},
		{"none is free: it waits", request, 3, nil},
		{"behind that", request, 4, nil},
		{"has a slot and requests one again", request, 1, nil},
		{"waits and requests one again", request, 3, nil},
		{"leaves the line", s.Release, 4, nil},
		{"the first in line gets the slot", s.Release, 1, []uint64{3}},
		{"released twice", s.Release, 1, nil},
		{"waits", request, 5, nil},
		{"a start goes before a check", s.RequestCheck, 2, []uint64{5}},
		{"then the check", s.Release, 5, []uint64{2}},
		{"with none in line it keeps its slot", s.RequestCheck, 2, []uint64{2}},
		{"waits", request, 6, nil},
		{"gives it to the start", s.RequestCheck, 2, []uint64{6}},
		{"the check leaves the line", s.Release, 2, nil},
		{"the slot is free again", s.Release, 6, nil},
		{"and the other", s.Release, 3, nil},
	} {
		if got := step.do(step.attempt); !slices.Equal(got, step.granted) {
			t.Fatalf("attempt %d, %s: granted %v, want %v", step.attempt, step.what, got, step.granted)
		}
	}
	if s.free != 2 || len(s.taken) != 0 {
		t.Errorf("%d free, %v taken", s.free, s.taken)
	}
}

func TestBudget(t *testing.T) { // EV-13
	s := NewStarts(1000, 2, 10)
	now := moment(time.Hour)
	request := func(attempt uint64) func() ([]uint64, time.Duration) {
		return func() ([]uint64, time.Duration) { return s.RequestStart(attempt, false, now) }
	}
	refill := func() ([]uint64, time.Duration) { return s.RefillBudget(now) }
	const tenth = 100 * time.Millisecond
	for _, step := range []struct {
		what    string
		pass    time.Duration
		do      func() ([]uint64, time.Duration)
		granted []uint64
		refill  time.Duration
	}{
		{"the burst", 0, request(1), []uint64{1}, 0},
		{"its last", 0, request(2), []uint64{2}, 0},
		{"nothing is left", 0, request(3), nil, tenth},
		{"behind the one that waits already", 0, request(4), nil, 0},
		{"an operator's does not wait", 0, func() ([]uint64, time.Duration) { return s.RequestStart(99, true, now) }, []uint64{99}, 0},
		{"a clock that was set gives nothing", 0, func() ([]uint64, time.Duration) {
			set := now
			set.Wall = set.Wall.Add(24 * time.Hour)
			return s.RefillBudget(set)
		}, nil, tenth},
		{"one at a time, in order", tenth, refill, []uint64{3}, tenth},
		{"cancelled while it waits", 0, func() ([]uint64, time.Duration) { return s.Release(4), 0 }, nil, 0},
		{"the cancelled one did not use the budget", 24 * time.Hour, refill, nil, 0},
		{"the burst again", 0, request(5), []uint64{5}, 0},
		{"its last", 0, request(6), []uint64{6}, 0},
		{"the budget is at most the burst", 0, request(7), nil, tenth},
	} {
		now = now.Add(step.pass)
		if granted, refill := step.do(); !slices.Equal(granted, step.granted) || refill != step.refill {
			t.Fatalf("%s: granted %v, refill %v; want %v, %v", step.what, granted, refill, step.granted, step.refill)
		}
	}
}

func TestBurst(t *testing.T) { // EV-13
	var b Burst
	add := func(after time.Duration, key string, want int) {
		t.Helper()
		if n := b.Add(moment(after), key); n != want {
			t.Errorf("after %v %s: %d, want %d", after, key, n, want)
		}
	}
	for i := range 4 {
		add(time.Duration(i)*time.Second, fmt.Sprint(i), 0)
	}
	add(4*time.Second, "3", 0) // the same plugin again does not count
	add(5*time.Second, "4", 5)
	add(6*time.Second, "5", 0) // reported once
	add(minute, "1", 0)
	for i := range 3 {
		add(minute, fmt.Sprint(10+i), 0)
	}
	add(minute, "x", 5)
}
