package process

import (
	"context"
	"fmt"
)

// Drain rejects new commands from now on, and waits until all running ones have exited. The caller
// ends their contexts. If ctx ends first, Drain returns an error. It may be called again.
func (r *Runner) Drain(ctx context.Context) error {
	r.mu.Lock()
	if !r.draining {
		r.draining = true
		if r.running == 0 {
			close(r.idle)
		}
	}
	r.mu.Unlock()
	select {
	case <-r.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for %d running commands: %w", r.Running(), context.Cause(ctx))
	}
}

// Running returns the number of running commands.
func (r *Runner) Running() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running
}

func (r *Runner) beginCommand() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return false
	}
	r.running++
	return true
}

func (r *Runner) endCommand() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running--
	if r.draining && r.running == 0 {
		close(r.idle)
	}
}
