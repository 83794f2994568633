package actors

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// work is the one piece of long work an actor has under way. It runs in a
// goroutine of its own, because a handler never blocks, and ends with a
// message to the actor itself.
type work struct {
	cancel context.CancelFunc // nil when nothing is under way
}

func (w *work) busy() bool { return w.cancel != nil }

// start runs do and sends self what it returns. A panic in do becomes what
// failed makes of it: supervision does not see goroutines. do may send
// messages of its own before it returns.
func (w *work) start(c actor.Context, do func(ctx context.Context, send func(msg any)) any, failed func(err error) any) {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	root, self := c.ActorSystem().Root, c.Self() // never c itself: it changes with each message
	send := func(msg any) { root.Send(self, msg) }
	go func() {
		defer cancel()
		defer func() {
			if r := recover(); r != nil {
				send(failed(fmt.Errorf("panic: %v\n%s", r, debug.Stack())))
			}
		}()
		send(do(ctx, send))
	}()
}

// done says its final message has arrived.
func (w *work) done() { w.cancel = nil }

// stop ends the work; what it still sends goes nowhere.
func (w *work) stop() {
	if w.cancel != nil {
		w.cancel()
		w.cancel = nil
	}
}

// pause waits in a work's goroutine; it returns false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// alarm sends self a message after d, unless it is stopped before.
func alarm(c actor.Context, d time.Duration, msg any) *time.Timer {
	root, self := c.ActorSystem().Root, c.Self()
	return time.AfterFunc(d, func() { root.Send(self, msg) })
}
