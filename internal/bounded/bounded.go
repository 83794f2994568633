// Package bounded runs operations that may never return, such as reading a file
// on a file system whose server is gone. Nothing can end such an operation. Its
// caller gives it up and goes on; it is not begun again before it has returned,
// so that no more than a few goroutines wait for the same thing.
package bounded

import (
	"errors"
	"sync"
	"time"
)

// ErrHung says that an operation has not returned in time, or that an earlier
// one of the same key has not returned yet.
var ErrHung = errors.New("does not answer")

// Set holds the operations that were given up and have not returned, by key.
// The zero value is empty. It may be used by several goroutines at once.
type Set struct {
	mu   sync.Mutex
	hung map[string]int
}

// Run runs do in a goroutine of its own and returns its result. After limit it
// gives do up and returns ErrHung. While an operation of the key hangs, Run
// returns ErrHung at once and does not call do. late, if not nil, is called with
// the result of an operation that was given up, once it has returned.
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
			s.add(key, -1)
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
		s.add(key, 1)
		close(givenUp)
		return none, ErrHung
	}
}

// Hangs reports whether an operation of the key was given up and has not
// returned.
func (s *Set) Hangs(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hung[key] > 0
}

// Patience returns the limit for the next of many operations that are run one
// after the other: the more hang, the shorter, down to a hundredth of longest.
// So what is on one file system that does not answer does not delay the others
// for long.
func (s *Set) Patience(longest time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(longest/time.Duration(1+len(s.hung)), longest/100)
}

func (s *Set) add(key string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hung == nil {
		s.hung = map[string]int{}
	}
	if s.hung[key] += n; s.hung[key] == 0 {
		delete(s.hung, key)
	}
}
