package actors

import "time"

// budget bounds how many restarts the whole host makes (EV-13): a token bucket
// that holds burst and gains rate a second. Restarts that find it empty wait;
// none is dropped.
type budget struct {
	burst, rate float64 // rate 0: no bound
	tokens      float64
	at          time.Time // when tokens was counted
}

func newBudget(burst int, rate float64) *budget {
	return &budget{burst: float64(max(burst, 1)), rate: rate, tokens: float64(max(burst, 1))}
}

// take takes a token. Without one it tells how long until there is.
func (b *budget) take(now time.Time) (wait time.Duration, ok bool) {
	if b.rate <= 0 {
		return 0, true
	}
	if gone := now.Sub(b.at).Seconds(); !b.at.IsZero() && gone > 0 {
		b.tokens = min(b.burst, b.tokens+gone*b.rate)
	}
	b.at = now
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) / b.rate * float64(time.Second)), false
	}
	b.tokens--
	return 0, true
}

// A host event is many plugins failing together (EV-13).
const (
	togetherCount  = 5
	togetherWithin = 10 * time.Second
)

// together notices when many plugins fail within a short time. It tells so
// once, and again only after a time without.
type together struct {
	failures []failure
	told     bool
}

type failure struct {
	at  time.Time
	key string
}

// note takes note of a failure, and tells how many plugins failed together if
// that has just become a host event, else 0.
func (t *together) note(now time.Time, key string) int {
	recent := t.failures[:0]
	for _, f := range t.failures {
		if d := now.Sub(f.at); d >= 0 && d <= togetherWithin && f.key != key {
			recent = append(recent, f)
		}
	}
	t.failures = append(recent, failure{now, key})
	n := len(t.failures)
	if n < togetherCount {
		t.told = false
		return 0
	}
	if t.told {
		return 0
	}
	t.told = true
	return n
}
