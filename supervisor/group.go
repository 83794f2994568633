package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// group runs the parts of the supervisor concurrently. The zero value is ready
// to use.
type group struct {
	running sync.WaitGroup
	first   chan error
	once    sync.Once
	cancels []context.CancelFunc
}

// runPart starts a part, which returns when its context ends, or earlier when it
// fails.
func (g *group) runPart(ctx context.Context, name string, part func(context.Context) error) {
	g.once.Do(func() { g.first = make(chan error, 1) })
	// The part outlives ctx: it answers requests while the actors are drained.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	g.cancels = append(g.cancels, cancel)
	g.running.Go(func() {
		err := part(ctx)
		if ctx.Err() != nil {
			return // by stopParts
		}
		if err == nil {
			err = errors.New("stopped without an error")
		}
		select {
		case g.first <- fmt.Errorf("%s: %w", name, err):
		default: // one error is enough
		}
	})
}

// waitFailed waits until a part fails or ctx ends, which is no error.
func (g *group) waitFailed(ctx context.Context) error {
	select {
	case err := <-g.first:
		return err
	case <-ctx.Done():
		return nil
	}
}

// stopParts cancels the parts and waits until they return or ctx ends.
func (g *group) stopParts(ctx context.Context) error {
	for _, cancel := range g.cancels {
		cancel()
	}
	stopped := make(chan struct{})
	go func() {
		g.running.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the parts: %w", ctx.Err())
	}
}
