package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

// together kills all plugins at once, and measures until the last is back. The
// supervisor has to see that for itself, or if restart is given, which then does
// it all, there is none.
func (r *daemonRig) together(ctx context.Context, rounds int, restart func(context.Context) error) (spans, error) {
	var all spans
	for range rounds {
		if restart == nil {
			if err := r.settle(ctx); err != nil {
				return nil, err
			}
		}
		var first time.Duration
		for i, dir := range r.dirs {
			died, err := kill(dir)
			if err != nil {
				return nil, err
			}
			if i == 0 {
				first = died
			}
		}
		if restart != nil {
			if err := restart(ctx); err != nil {
				return nil, err
			}
		}
		var last time.Duration
		for _, dir := range r.dirs {
			back, err := born(ctx, dir, first, scaleWithin)
			if err != nil {
				return nil, err
			}
			last = max(last, back)
		}
		all = append(all, last-first)
		time.Sleep(time.Second) // they write their first beats
	}
	slices.Sort(all)
	return all, nil
}

// startAll does what a bare loop would do at the right moment: all are started, as
// many at once as a supervisor starts, and the result is not checked.
func (r *daemonRig) startAll(ctx context.Context) error {
	slots := make(chan struct{}, 8) // restart.parallel
	errs := make([]error, len(r.dirs))
	var starts sync.WaitGroup
	for i, dir := range r.dirs {
		slots <- struct{}{}
		starts.Go(func() {
			start := exec.CommandContext(ctx, filepath.Join(dir, steady.RunPath), string(plugin.VerbStart))
			start.Env = append(os.Environ(), process.PluginEnv(dir, "")...)
			errs[i] = start.Run()
			<-slots
		})
	}
	starts.Wait()
	return errors.Join(errs...)
}
