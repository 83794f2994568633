package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"pluginsupervisor/cmd/supervisor/internal/view"
	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/state"
	"pluginsupervisor/plugin"
	"pluginsupervisor/supervisor"
)

// waitForChange waits until the change is finished, shows its progress, and returns
// its result.
func (w *waiter) waitForChange(ctx context.Context, o plugin.Change, bar *view.Bar, prove, within time.Duration) (result string, failed bool, err error) {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	defer showProgress(limited, bar, o, prove, func(ctx context.Context) []plugin.FetchProgress {
		s, err := w.client.Status(ctx)
		if err != nil { // only the progress is not shown
			return nil
		}
		return s.Fetches
	})()
	for {
		err := w.client.FollowEvents(limited, state.Filter{Plugin: w.name, After: w.after}, func(e plugin.Entry) error {
			w.after = e.Seq
			if e.Kind != plugin.EntryUpgrade {
				return nil
			}
			result, failed = w.name+": "+e.Cause, e.Failed
			return errReached
		})
		switch {
		case errors.Is(err, errReached):
			return result, failed, nil
		case limited.Err() != nil && ctx.Err() == nil:
			return "", false, fmt.Errorf("not finished within %s; the supervisor continues", within)
		case !errors.Is(err, admin.ErrNoSupervisor):
			return "", false, err
		}
		_ = pause.Sleep(limited, reconnectDelay)
	}
}

// progressInterval is the interval at which the progress of a change is read.
const progressInterval = 250 * time.Millisecond

// showProgress updates the bar until the returned function is called. prove is how
// long a new version must run well.
func showProgress(ctx context.Context, bar *view.Bar, o plugin.Change, prove time.Duration, fetches func(context.Context) []plugin.FetchProgress) (stop func()) {
	if bar == nil {
		return func() {}
	}
	more := ""
	if prove > 0 && o.Kind != plugin.ChangeRemove {
		more = "; the new version must run well for " + view.FormatSpan(prove)
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for began := time.Now(); ctx.Err() == nil; _ = pause.Sleep(ctx, progressInterval) {
			now := fetches(ctx)
			i := slices.IndexFunc(now, func(f plugin.FetchProgress) bool { return f.Name == o.Name })
			if i >= 0 && now[i].Done != now[i].Total {
				bar.ShowFetched(now[i].Name+" "+now[i].Version, now[i].Done, now[i].Total)
			} else if ctx.Err() == nil {
				bar.ShowText(fmt.Sprintf("%s: %s, %s so far%s", o.Name, o, view.FormatSpan(time.Since(began)), more))
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
		bar.Clear()
	}
}

// changeDirectly makes the change in this process, while no supervisor runs.
func changeDirectly(cmd *cobra.Command, cfg config.Config, r request, bar *view.Bar) (result string, failed bool, err error) {
	log, err := newLogger(cfg.Log, bar.Above(cmd.ErrOrStderr()))
	if err != nil {
		return "", false, err
	}
	logger.KeepWithoutReader()
	out := logger.QueueLog(log)
	defer func() { _ = out.Close(logger.FlushWithin) }() // there is no other place to report it
	direct, err := supervisor.OpenDirect(cfg, log)
	if err != nil {
		return "", false, err
	}
	defer func() { err = errors.Join(err, direct.Close()) }()
	o := r.change
	ctx, stop := withSignals(cmd.Context(), log, out)
	defer stop()
	defer showProgress(ctx, bar, o, cfg.Upgrade.Prove, func(context.Context) []plugin.FetchProgress { return direct.Fetches() })()
	up := direct.Change(ctx, o, r.staged)
	switch {
	case up.Err != nil:
		return o.Name + ": " + up.Cause(), true, nil
	case o.Kind == plugin.ChangeRemove:
		if up.Note != "" {
			return o.Name + " is removed; " + up.Note, false, nil
		}
		return o.Name + " is removed", false, nil
	default:
		return fmt.Sprintf("%s: %s", o.Name, up.Summary()), false, nil
	}
}
