package actors

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// work is long work of an actor. It runs in a goroutine of its own, because handlers
// must not block, and sends its result to the actor as a message.
type work struct {
	cancel context.CancelFunc // nil when there is no work
}

// isBusy reports whether the work is in progress.
func (w *work) isBusy() bool { return w.cancel != nil }

// start runs do and sends its result to the actor. After a panic in do it sends the
// result of failed. do may send other messages before it returns.
func (w *work) start(c actor.Context, do func(ctx context.Context, send func(msg any)) any, failed func(err error) any) {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	root, self := c.ActorSystem().Root, c.Self() // not c itself, which changes with each message
	send := func(msg any) { root.Send(self, msg) }
	go func() {
		defer cancel()
		var result any
		if err := recoverPanics(func() error { result = do(ctx, send); return nil }); err != nil {
			result = failed(err)
		}
		send(result)
	}()
}

// finish records that the result has arrived.
func (w *work) finish() { w.cancel = nil }

// stop cancels the work. The actor must ignore its later messages.
func (w *work) stop() {
	if w.cancel != nil {
		w.cancel()
		w.cancel = nil
	}
}

// recoverPanics runs do and returns a panic as an error: the supervision of actors
// does not cover goroutines.
func recoverPanics(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return do()
}

// waitFor waits, outside of an actor's goroutine, and reports whether d passed before
// ctx ended.
func waitFor(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// sendAfter sends a message to the actor after d, unless the timer is stopped before.
func sendAfter(c actor.Context, d time.Duration, msg any) *time.Timer {
	root, self := c.ActorSystem().Root, c.Self()
	return callAfter(d, func() { root.Send(self, msg) })
}

// callAfter calls f in its own goroutine after d, unless the timer is stopped before.
// If d is not positive, it calls f now: in a synctest bubble, a timer of 0 crashes the
// race detector of Go 1.26 at times.
func callAfter(d time.Duration, f func()) *time.Timer {
	if d > 0 {
		return time.AfterFunc(d, f)
	}
	go f()
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}
