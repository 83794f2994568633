package policy

import (
	"slices"
	"time"

	"golang.org/x/time/rate"

	"pluginsupervisor/plugin"
)

// Starts decides which attempts may run their verbs: a limited number at once
// (RS-03), and automatic restarts within the budget of the host (EV-13). Attempts
// whose verb has finished and that only run `--status` come after the others. None
// is dropped.
type Starts struct {
	free             int
	taken            map[uint64]bool
	toStart          []uint64 // wait for a slot
	toCheck          []uint64 // wait for a slot to run `--status`
	waitingForBudget []uint64
	budget           *rate.Limiter
}

// NewStarts returns a Starts with that many slots, and a budget of burst restarts
// at once and perSecond after that; perSecond ≤ 0: no limit.
func NewStarts(slots, burst int, perSecond float64) *Starts {
	limit := rate.Limit(perSecond)
	if perSecond <= 0 {
		limit = rate.Inf
	}
	return &Starts{free: max(slots, 1), taken: map[uint64]bool{}, budget: rate.NewLimiter(limit, max(burst, 1))}
}

// RequestStart requests a slot for a start. It returns the attempts that get one
// now, and, when the budget is used up, the time after which RefillBudget is to be
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

// RefillBudget lets the attempts that wait for the budget continue, in order, as far
// as the budget allows. It returns the same as RequestStart.
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

// spendBudget takes one restart from the budget, or returns the wait until there is
// one. It uses the monotonic clock.
func (s *Starts) spendBudget(now plugin.Moment) (wait time.Duration) {
	at := time.Unix(0, 0).Add(now.Uptime)
	r := s.budget.ReserveN(at, 1)
	if wait = r.DelayFrom(at); wait > 0 {
		r.CancelAt(at)
	}
	return wait
}

// RequestCheck returns the slot of an attempt whose verb has finished, and requests
// one to run `--status`.
func (s *Starts) RequestCheck(attempt uint64) (granted []uint64) {
	s.toCheck = append(s.toCheck, attempt)
	s.free += s.freeSlot(attempt)
	return s.grantFree()
}

// Release returns the attempt's slot, or removes it from its queue.
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

// grantFree grants the free slots to the first in the queues.
func (s *Starts) grantFree() (granted []uint64) {
	for s.free > 0 {
		queue := &s.toStart
		if len(*queue) == 0 {
			queue = &s.toCheck
		}
		if len(*queue) == 0 {
			break
		}
		next := (*queue)[0]
		*queue = (*queue)[1:]
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

// Burst detects that many plugins failed at once. It reports that once, and again
// only after a time without.
type Burst struct {
	failures []failure                // in order, those of the last BurstWithin
	last     map[string]plugin.Moment // the last failure of each plugin among them
	reported bool
}

type failure struct {
	at  plugin.Moment
	key string
}

// Add adds a failure. It returns the number of plugins that failed within
// BurstWithin if that has just become an event of the host, else 0.
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
