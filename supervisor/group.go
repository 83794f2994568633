package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// group runs the parts of the process beside each other. The zero value is
// ready.
type group struct {
	running sync.WaitGroup
	first   chan error
	once    sync.Once
	cancels []context.CancelFunc
}

// runPart starts a part. It ends with its context, and by itself only when it
// cannot go on.
func (g *group) runPart(ctx context.Context, name string, part func(context.Context) error) {
	g.once.Do(func() { g.first = make(chan error, 1) })
	// Not ctx itself: who is told to end still answers questions while the
	// rest is drained.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	g.cancels = append(g.cancels, cancel)
	g.running.Go(func() {
		err := part(ctx)
		if ctx.Err() != nil {
			return // it was told to
		}
		if err == nil {
			err = errors.New("it ended")
		}
		select {
		case g.first <- fmt.Errorf("%s: %w", name, err):
		default: // one is enough to end the process
		}
	})
}

// waitFailed waits until a part cannot go on, or ctx ends, which is no error.
func (g *group) waitFailed(ctx context.Context) error {
	select {
	case err := <-g.first:
		return err
	case <-ctx.Done():
		return nil
	}
}

// stopParts tells the parts to end and waits until they have, or ctx ends.
func (g *group) stopParts(ctx context.Context) error {
	for _, cancel := range g.cancels {
		cancel()
	}
	ended := make(chan struct{})
	go func() {
		g.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("end the parts: %w", ctx.Err())
	}
}
