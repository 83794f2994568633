package native

import (
	"context"

	"pluginsupervisor/plugin"
)

// interrupt receives the interruption of a change by an operator (UP-12). It
// belongs to the one goroutine that makes the change.
type interrupt struct {
	requests <-chan plugin.Interruption // nil: the change cannot be interrupted
	request  *plugin.Interruption       // nil: none was received yet
}

// received reports whether the interruption was received by now.
func (i *interrupt) received() bool {
	if i.request == nil {
		select {
		case r, ok := <-i.requests:
			i.keep(r, ok)
		default:
		}
	}
	return i.request != nil
}

// leaveStopped reports whether the old version must not be started.
func (i *interrupt) leaveStopped() bool { return i.received() && i.request.LeaveStopped }

func (i *interrupt) keep(r plugin.Interruption, ok bool) {
	if ok {
		i.request = &r
	}
}

// context returns a context that also ends when the interruption is received.
// The caller calls stop before it uses i again.
func (i *interrupt) context(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	if i.received() {
		cancel()
		return ctx, cancel
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case r, ok := <-i.requests:
			if i.keep(r, ok); ok {
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
