// Package bounded runs operations that may never return, such as reading a file on a
// file system whose server is gone. Nothing can stop such an operation. The caller
// abandons it and continues. It is not started again before it has returned, so that
// only a few goroutines wait for the same thing.
package bounded

import (
	"errors"
	"sync"
	"time"
)

// ErrHung is returned when an operation, or an earlier one of the same key, has not
// returned in time.
var ErrHung = errors.New("does not answer")

// Set holds the abandoned operations that have not returned, by key. The zero value is
// empty. It is safe for concurrent use.
type Set struct {
	mu   sync.Mutex
	hung map[string]int
}

// Run runs do in a goroutine and returns its result. After limit it abandons do and
// returns ErrHung. While an operation of the key hangs, Run returns ErrHung at once and
// does not call do. late, if not nil, is called with the result of an abandoned
// operation once it has returned.
func Run[T any](s *Set, key string, limit time.Duration, do func() T, late func(T)) (T, error) {
	var none T
	if s.Hangs(key) {
		return none, ErrHung
	}
	answer, givenUp := make(chan T), make(chan struct{})
	go func() {
		result := do()
		select {
		case answer <- result:
		case <-givenUp:
			s.count(key, -1)
			if late != nil {
				late(result)
			}
		}
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case result := <-answer:
		return result, nil
	case <-timer.C:
		s.count(key, 1)
		close(givenUp)
		return none, ErrHung
	}
}

// Hangs reports whether an operation of the key was abandoned and has not returned.
func (s *Set) Hangs(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hung[key] > 0
}

// NextLimit returns the limit for the next of many sequential operations: the more hang,
// the shorter, down to a hundredth of longest. So many operations on a file system that
// does not answer delay the others only a little.
func (s *Set) NextLimit(longest time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(longest/time.Duration(1+len(s.hung)), longest/100)
}

func (s *Set) count(key string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hung == nil {
		s.hung = map[string]int{}
	}
	if s.hung[key] += n; s.hung[key] == 0 {
		delete(s.hung, key)
	}
}
