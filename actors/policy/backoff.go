package policy

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Backoff holds the waits between retries: they double, with jitter, up to a
// limit. The number of retries is not limited.
type Backoff struct {
	policy *backoff.ExponentialBackOff
	rand   *rand.Rand
	max    time.Duration
}

// jitterShare is the share by which jitter makes a wait longer or shorter.
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

// NextWait returns the wait before the next try.
func (b *Backoff) NextWait() time.Duration { return AddJitter(b.policy.NextBackOff(), b.max, b.rand) }

// Reset sets the next wait to the initial one.
func (b *Backoff) Reset() { b.policy.Reset() }

// AddJitter returns d, longer or shorter by up to a fifth, at most longest.
func AddJitter(d, longest time.Duration, r *rand.Rand) time.Duration {
	factor := 1 + jitterShare*(2*r.Float64()-1)
	return min(time.Duration(float64(d)*factor), longest)
}

// nthBackoff returns the wait before the n-th repeated start, n ≥ 1: initial,
// doubled for each further start up to longest, with jitter (RS-05).
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
