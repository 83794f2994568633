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

// measureBurst kills all plugins at once, and measures the time until the last one
// runs again. The supervisor restarts them; without a supervisor, restart does.
func (r *daemonTestbed) measureBurst(ctx context.Context, rounds int, restart func(context.Context) error) (spans, error) {
	var all spans
	for range rounds {
		if restart == nil {
			if err := r.waitHealthy(ctx); err != nil {
				return nil, err
			}
		}
		var first time.Duration
		for i, dir := range r.dirs {
			died, err := killDaemon(dir)
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
			back, err := waitStarted(ctx, dir, first, scaleWithin)
			if err != nil {
				return nil, err
			}
			last = max(last, back)
		}
		all = append(all, last-first)
		time.Sleep(time.Second) // they write their first heartbeats
	}
	slices.Sort(all)
	return all, nil
}

// startAllPlugins starts all plugins as a bare loop would: as many at the same time
// as a supervisor starts, without a check of the result.
func (r *daemonTestbed) startAllPlugins(ctx context.Context) error {
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
