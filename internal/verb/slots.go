package verb

import (
	"context"
	"sync"
	"time"
)

// Slots limits how many checks run at once. A check that takes longer than the patience
// no longer counts: checks that hang must not delay the others (SC-08).
type Slots struct {
	taken    chan struct{}
	patience time.Duration
}

// NewSlots returns Slots for Parallel(parallel) checks at once.
func NewSlots(parallel int, patience time.Duration) Slots {
	return Slots{make(chan struct{}, Parallel(parallel)), patience}
}

// Take waits for a slot. The caller releases it after its check.
func (s Slots) Take(ctx context.Context) (release func(), err error) {
	select {
	case s.taken <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	once := sync.OnceFunc(func() { <-s.taken })
	timer := time.AfterFunc(s.patience, once)
	return func() {
		timer.Stop()
		once()
	}, nil
}
