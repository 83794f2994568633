package supervisor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestGroupEndsWithThePartThatCannotGoOn(t *testing.T) {
	broken := errors.New("broken")
	for name, part := range map[string]func(context.Context) error{
		"part: broken":   func(context.Context) error { return broken },
		"part: it ended": func(context.Context) error { return nil },
	} {
		var g group
		g.runPart(t.Context(), "good", func(ctx context.Context) error { <-ctx.Done(); return nil })
		g.runPart(t.Context(), "part", part)
		if err := g.waitFailed(t.Context()); err == nil || err.Error() != name {
			t.Errorf("got %v, want %s", err, name)
		}
		if err := g.stopParts(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Who is told to end still answers until the rest is drained.
func TestGroupOutlivesItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var g group
	ended := make(chan struct{})
	g.runPart(ctx, "part", func(ctx context.Context) error {
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	})
	cancel()
	if err := g.waitFailed(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		t.Fatal("the part ended before it was told")
	default:
	}
	if err := g.stopParts(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-ended
}

func TestGroupDoesNotWaitForEver(t *testing.T) {
	var g group
	release := make(chan struct{})
	g.runPart(t.Context(), "deaf", func(context.Context) error { <-release; return nil })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := g.stopParts(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "end the parts") {
		t.Errorf("got %v", err)
	}
	close(release)
	g.running.Wait()
}
