package actors

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// retry paces the tries at something: exponentially longer waits with jitter,
// never beyond a cap. It never gives up by itself.
type retry struct {
	policy *backoff.ExponentialBackOff
	rand   *rand.Rand
	max    time.Duration
}

// retryJitter is how far a wait is off the exact one, either way.
const retryJitter = 0.2

// newRetry waits initial first, then twice as long each time up to max. The
// jitter comes from r, so that a seed replays a run.
func newRetry(initial, longest time.Duration, r *rand.Rand) *retry {
	policy := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(initial),
		backoff.WithMaxInterval(longest),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0),
		backoff.WithMaxElapsedTime(0),
	)
	return &retry{policy: policy, rand: r, max: longest}
}

// next is how long to wait before the next try.
func (r *retry) next() time.Duration {
	return jitter(r.policy.NextBackOff(), r.max, r.rand)
}

// reset starts over.
func (r *retry) reset() { r.policy.Reset() }

func jitter(d, longest time.Duration, r *rand.Rand) time.Duration {
	off := 1 + retryJitter*(2*r.Float64()-1)
	return min(time.Duration(float64(d)*off), longest)
}

// nthBackoff is the wait before the n-th repeated start, n ≥ 1: initial,
// doubled for each further one up to longest, with jitter (RS-05).
func nthBackoff(n int, initial, longest time.Duration, r *rand.Rand) time.Duration {
	again := newRetry(initial, longest, r)
	d := again.policy.NextBackOff()
	for i := 1; i < n && d < longest; i++ {
		d = again.policy.NextBackOff()
	}
	return jitter(d, longest, r)
}

// within is a random time in [0, d).
func within(d time.Duration, r *rand.Rand) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(r.Int64N(int64(d)))
}
