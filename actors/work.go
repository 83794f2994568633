package actors

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// work is one piece of long work of an actor. It runs in a goroutine of its
// own, because a handler never blocks, and ends with a message to the actor
// itself.
type work struct {
	cancel context.CancelFunc // nil when nothing is under way
}

// isBusy reports whether the work is under way.
func (w *work) isBusy() bool { return w.cancel != nil }

// start runs do and sends its result to the actor. After a panic in do, the
// result of failed is sent instead. do may send other messages before it returns.
func (w *work) start(c actor.Context, do func(ctx context.Context, send func(msg any)) any, failed func(err error) any) {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	root, self := c.ActorSystem().Root, c.Self() // never c itself: it changes with each message
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

// finish records that the final message has arrived.
func (w *work) finish() { w.cancel = nil }

// stop cancels the work. The actor ignores what it still sends.
func (w *work) stop() {
	if w.cancel != nil {
		w.cancel()
		w.cancel = nil
	}
}

// recoverPanics runs do and turns a panic into an error: supervision of actors does
// not see goroutines.
func recoverPanics(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return do()
}

// waitFor waits in a work's goroutine, and reports whether d passed before ctx ended.
func waitFor(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// sendAfter sends the actor a message after d, unless the timer is stopped before.
func sendAfter(c actor.Context, d time.Duration, msg any) *time.Timer {
	root, self := c.ActorSystem().Root, c.Self()
	return time.AfterFunc(d, func() { root.Send(self, msg) })
}
