package actorstest

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Probe is a mock actor: it records every message with its virtual time, and
// may answer. The zero Probe records and answers nothing.
type Probe struct {
	// Answer is called for each message, on the actor's goroutine; nil: the
	// message is recorded only. It must not block. A panic in it crashes the
	// actor, as in a real one.
	Answer func(c actor.Context, msg any)

	mu       sync.Mutex
	received []Received
}

// Received is a message that a Probe got.
type Received struct {
	At  time.Duration // since the test began
	Msg any
}

// Props returns the Props that spawn the probe in place of a real actor.
func (p *Probe) Props() *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return p })
}

// Receive records a message, then calls Answer. Messages of the actor's own
// lifecycle are left out.
func (p *Probe) Receive(c actor.Context) {
	switch c.Message().(type) {
	case *actor.Started, *actor.Stopping, *actor.Stopped, *actor.Restarting:
		return
	}
	p.mu.Lock()
	p.received = append(p.received, Received{Elapsed(), c.Message()})
	p.mu.Unlock()
	if p.Answer != nil {
		p.Answer(c, c.Message())
	}
}

// Take waits until all actors are idle, and returns what the probe got since
// the last call.
func (p *Probe) Take() []Received {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.received
	p.received = nil
	return taken
}

// Messages returns the messages of type T, in the order in which they came.
func Messages[T any](received []Received) (all []T) {
	for _, r := range received {
		if m, ok := r.Msg.(T); ok {
			all = append(all, m)
		}
	}
	return all
}

// Expect waits until all actors are idle, and returns the one message of type T
// that the probe got since the last Take or Expect of T. Messages of other types
// stay for later calls. The test ends if there is none, or more than one.
func Expect[T any](t testing.TB, p *Probe) T {
	t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	all := Messages[T](p.received)
	if len(all) != 1 {
		var one T
		t.Fatalf("probe got %d messages of type %T, want 1; it got: %+v", len(all), one, p.received)
	}
	p.received = slices.DeleteFunc(p.received, func(r Received) bool { _, ok := r.Msg.(T); return ok })
	return all[0]
}
