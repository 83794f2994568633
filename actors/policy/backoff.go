package policy

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Backoff paces repeated tries: exponentially longer waits with jitter, never
// beyond a cap. It never gives up by itself.
type Backoff struct {
	policy *backoff.ExponentialBackOff
	rand   *rand.Rand
	max    time.Duration
}

// jitterShare is how far a wait is off the exact one, either way.
const jitterShare = 0.2

// NewBackoff returns a Backoff that waits initial first, then twice as long
// each time up to longest. The jitter comes from r, so that a seed replays a
// run.
func NewBackoff(initial, longest time.Duration, r *rand.Rand) *Backoff {
	policy := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(initial),
		backoff.WithMaxInterval(longest),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0),
		backoff.WithMaxElapsedTime(0),
	)
	return &Backoff{policy: policy, rand: r, max: longest}
}

// NextWait returns how long to wait before the next try.
func (b *Backoff) NextWait() time.Duration { return AddJitter(b.policy.NextBackOff(), b.max, b.rand) }

// Reset starts over.
func (b *Backoff) Reset() { b.policy.Reset() }

// AddJitter returns d changed by up to a fifth either way, at most longest.
func AddJitter(d, longest time.Duration, r *rand.Rand) time.Duration {
	factor := 1 + jitterShare*(2*r.Float64()-1)
	return min(time.Duration(float64(d)*factor), longest)
}

// nthBackoff returns the wait before the n-th repeated start, n ≥ 1: initial,
// doubled for each further one up to longest, with jitter (RS-05).
func nthBackoff(n int, initial, longest time.Duration, r *rand.Rand) time.Duration {
	b := NewBackoff(initial, longest, r)
	d := b.policy.NextBackOff()
	for i := 1; i < n && d < longest; i++ {
		d = b.policy.NextBackOff()
	}
	return AddJitter(d, longest, r)
}

// RandomWithin returns a random time in [0, d).
func RandomWithin(d time.Duration, r *rand.Rand) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(r.Int64N(int64(d)))
}
