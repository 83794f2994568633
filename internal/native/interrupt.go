package native

import (
	"context"

	"pluginsupervisor/plugin"
)

// interrupt receives the interruption of a change by an operator (UP-12). Only
// the goroutine that makes the change uses it.
type interrupt struct {
	requests <-chan plugin.Interruption // nil: the change cannot be interrupted
	request  *plugin.Interruption       // nil: none was received yet
}

// isReceived reports whether the interruption has been received.
func (i *interrupt) isReceived() bool {
	if i.request == nil {
		select {
		case r, ok := <-i.requests:
			i.save(r, ok)
		default:
		}
	}
	return i.request != nil
}

// leaveStopped reports whether the old version must not be started.
func (i *interrupt) leaveStopped() bool { return i.isReceived() && i.request.LeaveStopped }

func (i *interrupt) save(r plugin.Interruption, ok bool) {
	if ok {
		i.request = &r
	}
}

// newContext returns a context that also ends when the interruption is received.
// The caller must call stop before it uses i again.
func (i *interrupt) newContext(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	if i.isReceived() {
		cancel()
		return ctx, cancel
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case r, ok := <-i.requests:
			if i.save(r, ok); ok {
				cancel()
			}
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel()
		<-stopped
	}
}
