package actors

import "slices"

// slots bounds how many starts run at once (RS-03): attempts ask for one, get
// it or wait in line, and give it back when they end or take long. Those that
// have started theirs, and only look how it does, let the others go first.
type slots struct {
	free   int
	taken  map[uint64]bool
	inLine []uint64 // to start
	looks  []uint64 // to look
}

func newSlots(n int) *slots { return &slots{free: n, taken: map[uint64]bool{}} }

// request tells whether the attempt may go on now; else it waits in line.
func (s *slots) request(attempt uint64) bool {
	if s.taken[attempt] || slices.Contains(s.inLine, attempt) {
		return s.taken[attempt]
	}
	if s.free == 0 {
		s.inLine = append(s.inLine, attempt)
		return false
	}
	s.free--
	s.taken[attempt] = true
	return true
}

// look has the attempt wait for a slot, which it may have, until nobody waits
// to start, and returns the attempt that gets the slot now, if any.
func (s *slots) look(attempt uint64) (next uint64, ok bool) {
	s.looks = append(s.looks, attempt)
	if s.taken[attempt] {
		delete(s.taken, attempt)
		s.free++
	}
	return s.next()
}

// release takes the attempt's slot, or its place in line, back and returns
// the attempt that gets the slot now, if any.
func (s *slots) release(attempt uint64) (next uint64, ok bool) {
	if !s.taken[attempt] {
		it := func(a uint64) bool { return a == attempt }
		s.inLine, s.looks = slices.DeleteFunc(s.inLine, it), slices.DeleteFunc(s.looks, it)
		return 0, false
	}
	delete(s.taken, attempt)
	s.free++
	return s.next()
}

// next gives a free slot to the first in line.
func (s *slots) next() (attempt uint64, ok bool) {
	line := &s.inLine
	if len(*line) == 0 {
		line = &s.looks
	}
	if s.free == 0 || len(*line) == 0 {
		return 0, false
	}
	attempt, *line = (*line)[0], (*line)[1:]
	s.free--
	s.taken[attempt] = true
	return attempt, true
}
