package policy

import (
	"slices"
	"time"

	"golang.org/x/time/rate"

	"pluginsupervisor/plugin"
)

// Starts decides which attempts may run their verbs: at most so many at once
// (RS-03), and automatic restarts within the budget of the host (EV-13).
// Attempts whose verb has ended, and that only run `--status`, let the others
// go first. None is dropped.
type Starts struct {
	free             int
	taken            map[uint64]bool
	toStart          []uint64 // wait for a slot
	toCheck          []uint64 // wait for a slot to run `--status`
	waitingForBudget []uint64 // wait for the budget
	budget           *rate.Limiter
}

// NewStarts returns a Starts with that many slots, and a budget of burst
// restarts at once and perSecond after that; perSecond ≤ 0: no bound.
func NewStarts(slots, burst int, perSecond float64) *Starts {
	limit := rate.Limit(perSecond)
	if perSecond <= 0 {
		limit = rate.Inf
	}
	return &Starts{free: max(slots, 1), taken: map[uint64]bool{}, budget: rate.NewLimiter(limit, max(burst, 1))}
}

// RequestStart asks for a slot to start. It returns the attempts that may go on
// now, and, when the budget is used up, after which time Refill is to be
// called.
func (s *Starts) RequestStart(attempt uint64, unbudgeted bool, now plugin.Moment) (granted []uint64, refill time.Duration) {
	if s.taken[attempt] || slices.Contains(s.toStart, attempt) || slices.Contains(s.waitingForBudget, attempt) {
		return nil, 0
	}
	if !unbudgeted {
		if len(s.waitingForBudget) > 0 {
			s.waitingForBudget = append(s.waitingForBudget, attempt)
			return nil, 0
		}
		if wait := s.spendBudget(now); wait > 0 {
			s.waitingForBudget = append(s.waitingForBudget, attempt)
			return nil, wait
		}
	}
	s.toStart = append(s.toStart, attempt)
	return s.grantFree(), 0
}

// RefillBudget funds the attempts that wait for the budget, in order, as far as it
// goes.
func (s *Starts) RefillBudget(now plugin.Moment) (granted []uint64, refill time.Duration) {
	for len(s.waitingForBudget) > 0 {
		if wait := s.spendBudget(now); wait > 0 {
			return s.grantFree(), wait
		}
		s.toStart = append(s.toStart, s.waitingForBudget[0])
		s.waitingForBudget = s.waitingForBudget[1:]
	}
	return s.grantFree(), 0
}

// spendBudget takes one restart out of the budget, or returns how long there is
// none. It counts on a clock that is never set.
func (s *Starts) spendBudget(now plugin.Moment) (wait time.Duration) {
	at := time.Unix(0, 0).Add(now.Uptime)
	r := s.budget.ReserveN(at, 1)
	if wait = r.DelayFrom(at); wait > 0 {
		r.CancelAt(at)
	}
	return wait
}

// RequestCheck gives the slot of an attempt back whose verb has ended, and
// asks for one to run `--status`.
func (s *Starts) RequestCheck(attempt uint64) (granted []uint64) {
	s.toCheck = append(s.toCheck, attempt)
	s.free += s.freeSlot(attempt)
	return s.grantFree()
}

// Release gives the attempt's slot back, or its place in a line.
func (s *Starts) Release(attempt uint64) (granted []uint64) {
	it := func(a uint64) bool { return a == attempt }
	s.waitingForBudget = slices.DeleteFunc(s.waitingForBudget, it)
	s.toStart, s.toCheck = slices.DeleteFunc(s.toStart, it), slices.DeleteFunc(s.toCheck, it)
	s.free += s.freeSlot(attempt)
	return s.grantFree()
}

func (s *Starts) freeSlot(attempt uint64) int {
	if !s.taken[attempt] {
		return 0
	}
	delete(s.taken, attempt)
	return 1
}

// grantFree gives free slots to the first in line.
func (s *Starts) grantFree() (granted []uint64) {
	for s.free > 0 {
		line := &s.toStart
		if len(*line) == 0 {
			line = &s.toCheck
		}
		if len(*line) == 0 {
			break
		}
		next := (*line)[0]
		*line = (*line)[1:]
		s.free--
		s.taken[next] = true
		granted = append(granted, next)
	}
	return granted
}

// Many plugins that fail within a short time are one event of the host (EV-13).
const (
	BurstCount  = 5
	BurstWithin = 10 * time.Second
)

// Burst notices when many plugins fail together. It reports that once, and
// again only after a time without.
type Burst struct {
	failures []failure                // in order, those of the last BurstWithin
	last     map[string]plugin.Moment // the last failure of each plugin among them
	reported bool
}

type failure struct {
	at  plugin.Moment
	key string
}

// Add notes a failure and returns how many plugins failed together if that has
// just become an event of the host, else 0.
func (b *Burst) Add(now plugin.Moment, key string) int {
	for len(b.failures) > 0 && now.Sub(b.failures[0].at) > BurstWithin {
		if old := b.failures[0]; b.last[old.key] == old.at {
			delete(b.last, old.key)
		}
		b.failures = b.failures[1:]
	}
	if b.last == nil {
		b.last = map[string]plugin.Moment{}
	}
	b.failures = append(b.failures, failure{now, key})
	b.last[key] = now
	n := len(b.last)
	if n < BurstCount {
		b.reported = false
		return 0
	}
	if b.reported {
		return 0
	}
	b.reported = true
	return n
}
