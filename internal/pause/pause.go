// Package pause waits for a time, or until a context is done, and for doubling times in
// a polling loop.
package pause

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Sleep waits for d, or until ctx is done. It returns the cause when ctx is done.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

// Doubling is a series of pauses. Each is twice as long as the previous one, up to a
// longest one. It is for one goroutine.
type Doubling struct{ series *backoff.ExponentialBackOff }

// NewDoubling returns a series from first to longest.
func NewDoubling(first, longest time.Duration) Doubling {
	return Doubling{backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(first), backoff.WithMaxInterval(longest), backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0), backoff.WithMaxElapsedTime(0))}
}

// Next returns the next pause of the series.
func (d Doubling) Next() time.Duration { return d.series.NextBackOff() }

// Sleep waits for the next pause of the series, or until ctx is done. It returns the
// cause when ctx is done.
func (d Doubling) Sleep(ctx context.Context) error { return Sleep(ctx, d.Next()) }

// Reset restarts the series.
func (d Doubling) Reset() { d.series.Reset() }
