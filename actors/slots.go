package actors

import "slices"

// slots bounds how many starts run at once (RS-03): attempts ask for one, get
// it or wait in line, and give it back when they end or take long.
type slots struct {
	free   int
	taken  map[uint64]bool
	inLine []uint64
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

// release takes the attempt's slot, or its place in line, back and returns
// the attempt that gets the slot now, if any.
func (s *slots) release(attempt uint64) (next uint64, ok bool) {
	if !s.taken[attempt] {
		s.inLine = slices.DeleteFunc(s.inLine, func(a uint64) bool { return a == attempt })
		return 0, false
	}
	delete(s.taken, attempt)
	if len(s.inLine) == 0 {
		s.free++
		return 0, false
	}
	next, s.inLine = s.inLine[0], s.inLine[1:]
	s.taken[next] = true
	return next, true
}
