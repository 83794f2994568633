package supervisor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestGroupReturnsTheErrorOfAPart(t *testing.T) {
	broken := errors.New("broken")
	for name, part := range map[string]func(context.Context) error{
		"part: broken":                   func(context.Context) error { return broken },
		"part: stopped without an error": func(context.Context) error { return nil },
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

// A part runs on until stopParts, so that it answers requests during the drain.
func TestGroupOutlivesItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var g group
	stopped := make(chan struct{})
	g.runPart(ctx, "part", func(ctx context.Context) error {
		<-ctx.Done()
		close(stopped)
		return ctx.Err()
	})
	cancel()
	if err := g.waitFailed(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case <-stopped:
		t.Fatal("the part stopped before stopParts was called")
	default:
	}
	if err := g.stopParts(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-stopped
}

func TestStopPartsIsBounded(t *testing.T) {
	var g group
	release := make(chan struct{})
	g.runPart(t.Context(), "hung", func(context.Context) error { <-release; return nil })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := g.stopParts(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "stop the parts") {
		t.Errorf("got %v, want a deadline error that says \"stop the parts\"", err)
	}
	close(release)
	g.running.Wait()
}
