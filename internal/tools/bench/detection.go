package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/cgroup"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/tools/testbed"
	"pluginsupervisor/plugin"
)

// spans are measured times, sorted.
type spans []time.Duration

func (s spans) median() time.Duration { return s.quantile(0.5) }

// quantile is the smallest that at least that part of all is not above.
func (s spans) quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

// readMonotonic returns the time of the clock by which the sample daemons record
// their start.
func readMonotonic() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // it cannot fail
	return time.Duration(now.Nano())
}

// measureDetection kills daemons one after the other, and measures the time from
// the kill until the exit is reported (EV-01).
func measureDetection(ctx context.Context, deaths int) (_ spans, by plugin.WatchMethod, err error) {
	in, err := testbed.NewInstallation()
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, in.Clear()) }()
	program := filepath.Join(layout.Version(in.Root, "p", "1.0"), "run")
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return nil, 0, err
	}
	if err := testbed.Build(ctx, "sampledaemon", program); err != nil {
		return nil, 0, err
	}
	by = plugin.WatchCgroup
	tree, err := cgroup.Open(cgroup.Options{Root: in.Root})
	if errors.Is(err, cgroup.ErrNone) {
		by = plugin.WatchPidfd
	} else if err != nil {
		return nil, 0, err
	}
	tracker, err := process.NewTracker(process.TrackerOptions{Tree: tree, Plugins: layout.Plugins(in.Root)})
	if err != nil {
		return nil, 0, err
	}
	following, stop := context.WithCancel(ctx)
	reported, finished := make(chan time.Duration, 1), make(chan error, 2)
	go func() { finished <- tracker.FollowLeaves(following) }()
	go func() {
		finished <- tracker.Follow(following, func(e plugin.Exit) {
			if !e.Late && !e.Partial {
				reported <- readMonotonic()
			}
		})
	}()
	defer func() {
		stop()
		err = errors.Join(err, <-finished, <-finished, tracker.KillPlugin(context.WithoutCancel(ctx), "p"), tracker.Close())
	}()
	runner := process.NewRunner(process.Options{Tracker: tracker})
	var all spans
	for range deaths {
		res := runner.Run(ctx, process.Command{
			Path: program, Args: []string{"--start"}, Plugin: "p", Daemon: true, Log: filepath.Join(in.Root, "log"), Timeout: 10 * time.Second,
			Env: append(os.Environ(), process.PluginEnv(filepath.Dir(program), "")...),
		})
		if res.Err != nil || len(res.Processes) != 1 {
			return nil, by, fmt.Errorf("start: %v, left %v", res.Err, res.Processes)
		}
		killed := readMonotonic()
		if err := syscall.Kill(res.Processes[0].PID, syscall.SIGKILL); err != nil {
			return nil, by, err
		}
		select {
		case at := <-reported:
			all = append(all, at-killed)
		case <-time.After(10 * time.Second):
			return nil, by, errors.New("an exit was not reported within 10 s")
		case <-ctx.Done():
			return nil, by, context.Cause(ctx)
		}
	}
	slices.Sort(all)
	return all, by, nil
}
