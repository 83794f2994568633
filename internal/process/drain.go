package process

import (
	"context"
	"fmt"
)

// Drain refuses new commands from now on and waits until every running one has
// ended, which the caller brings about by ending their contexts; or until ctx
// ends, which is an error. It may be called again.
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

// Running counts the commands now running.
func (r *Runner) Running() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running
}

func (r *Runner) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return false
	}
	r.running++
	return true
}

func (r *Runner) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running--
	if r.draining && r.running == 0 {
		close(r.idle)
	}
}
