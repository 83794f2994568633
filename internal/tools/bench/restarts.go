package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/tools/testbed"
	"pluginsupervisor/plugin"
)

// Healthy times of the measured plugins: an exit after it is answered by a restart at
// once.
const (
	soonHealthy = 300 * time.Millisecond // to restart a plugin again and again
	lateHealthy = 20 * time.Second       // no check of health falls into what is measured
)

// aloneWithin is the limit for the restart of a plugin that alone was killed.
const aloneWithin = 10 * time.Second

// steady is the record of the measured daemons.
var steady = record.Record{
	Name: "steady", Version: "1.0", RunPath: "run", Type: plugin.Persist, Timeout: "10", HeartbeatInterval: 60,
}

// daemonScript is a plugin as small as the service of runit beside it: a shell
// script that starts the daemon.
const daemonScript = `#!/bin/sh
case $1 in
--start) "$PLUGIN_DIR/sampledaemon" daemon & echo $! >"$PLUGIN_DIR/pid" ;;
--status) kill -0 "$(cat "$PLUGIN_DIR/pid")" ;;
--stop) kill "$(cat "$PLUGIN_DIR/pid")" ;;
esac
`

// daemonTestbed is a supervisor with sample daemons.
type daemonTestbed struct {
	in         *testbed.Installation
	supervisor *testbed.Child
	client     *admin.Client
	dirs       []string // of the plugins' versions
	bin        string
	config     string

	healthyAfter time.Duration
}

// startDaemonTestbed starts a supervisor with a number of plugins, and waits until
// all run.
func startDaemonTestbed(ctx context.Context, o options, plugins int, stagger time.Duration) (_ *daemonTestbed, err error) {
	r, err := prepareDaemonTestbed(ctx, o, plugins, stagger, soonHealthy)
	if err != nil {
		return nil, err
	}
	if err = r.startSupervisor(); err == nil {
		err = r.waitHealthy(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// prepareDaemonTestbed installs the plugins without starting a supervisor.
func prepareDaemonTestbed(ctx context.Context, o options, plugins int, stagger, healthyAfter time.Duration) (_ *daemonTestbed, err error) {
	in, err := testbed.NewInstallation()
	if err != nil {
		return nil, err
	}
	r := &daemonTestbed{
		in: in, bin: o.bin, healthyAfter: healthyAfter, config: filepath.Join(in.Root, "supervisor.yaml"),
		client: admin.Dial(layout.Socket(in.Root)),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	program, script := filepath.Join(in.Root, "sampledaemon"), filepath.Join(in.Root, "script")
	if err := testbed.Build(ctx, "sampledaemon", program); err != nil {
		return nil, err
	}
	if err := os.WriteFile(script, []byte(daemonScript), 0o755); err != nil {
		return nil, err
	}
	paths, err := in.Install(ctx, plugins, script, steady)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		dir := filepath.Dir(path)
		if err := os.Link(program, filepath.Join(dir, "sampledaemon")); err != nil {
			return nil, err
		}
		r.dirs = append(r.dirs, dir)
	}
	text := fmt.Sprintf(`root: %q
instance_id: bench
control_plane: {url: "http://127.0.0.1:1"}
first_run: {scan: 0s, jitter: 0s}
restart: {stagger: %s, healthy_after: %s, burst: 100000}
upgrade: {prove: 100ms}
`, in.Root, stagger, healthyAfter)
	if err := os.WriteFile(r.config, []byte(text), 0o640); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *daemonTestbed) startSupervisor() (err error) {
	r.supervisor, err = testbed.Spawn(filepath.Join(r.bin, "supervisor"), filepath.Join(r.in.Root, "supervisor.log"), "run", "--config", r.config)
	return err
}

// close stops the supervisor, then the plugins.
func (r *daemonTestbed) close() error {
	var err error
	if r.supervisor != nil {
		err = r.supervisor.Stop()
	}
	return errors.Join(err, r.in.Clear())
}

// waitHealthy waits until every plugin runs and counts as healthy.
func (r *daemonTestbed) waitHealthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, testbed.SettleWithin)
	defer cancel()
	for {
		if err := r.supervisor.Pass(ctx, r.healthyAfter+3*time.Second); err != nil {
			return fmt.Errorf("%d of %d plugins run: %w", r.countPlugins(ctx, isRunning), len(r.dirs), err)
		}
		if r.countPlugins(ctx, func(v plugin.View) bool { return isRunning(v) && v.Failures == 0 }) == len(r.dirs) {
			return nil
		}
	}
}

// isRunning reports whether a plugin runs and is watched.
func isRunning(v plugin.View) bool { return v.State == plugin.StateRunning && len(v.PIDs) > 0 }

// countPlugins returns the number of plugins for which like is true; 0 when the
// supervisor does not answer.
func (r *daemonTestbed) countPlugins(ctx context.Context, like func(plugin.View) bool) (n int) {
	s, err := r.client.Status(ctx)
	if err != nil {
		return 0
	}
	for _, v := range s.Plugins {
		if like(v) {
			n++
		}
	}
	return n
}

func readNumber(dir, file string) (int, error) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// killDaemon kills a daemon, and returns the time.
func killDaemon(dir string) (time.Duration, error) {
	pid, err := readNumber(dir, "pid")
	if err != nil {
		return 0, err
	}
	at := readMonotonic()
	return at, syscall.Kill(pid, syscall.SIGKILL)
}

// waitStarted waits for the first daemon that was started after a time, and
// returns the time of its first instruction, which the daemon wrote itself.
func waitStarted(ctx context.Context, dir string, after, within time.Duration) (time.Duration, error) {
	const pause = 200 * time.Microsecond
	for deadline := time.Now().Add(within); ; time.Sleep(pause) {
		if at, err := readNumber(dir, "born"); err == nil && time.Duration(at) > after {
			return time.Duration(at), nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return 0, errors.Join(fmt.Errorf("the plugin in %s was not started within %s", dir, within), context.Cause(ctx))
		}
	}
}

// measureSingleRestarts kills one plugin after the other, and measures the time
// until each runs again (EV-05).
func (r *daemonTestbed) measureSingleRestarts(ctx context.Context, deaths int) (spans, error) {
	var all spans
	for i := range deaths {
		dir := r.dirs[i%len(r.dirs)]
		if i >= len(r.dirs) && i%len(r.dirs) == 0 {
			if err := r.waitHealthy(ctx); err != nil {
				return nil, err
			}
		}
		died, err := killDaemon(dir)
		if err != nil {
			return nil, err
		}
		back, err := waitStarted(ctx, dir, died, aloneWithin)
		if err != nil {
			return nil, err
		}
		all = append(all, back-died)
		if err := r.supervisor.Pass(ctx, 10*time.Millisecond); err != nil {
			return nil, err
		}
	}
	slices.Sort(all)
	return all, nil
}

// measureReattachment kills the supervisor, and measures the time from the start of
// the next one until its status shows all plugins as running and watched (EV-07).
func (r *daemonTestbed) measureReattachment(ctx context.Context, rounds int) (spans, error) {
	var all spans
	for range rounds {
		if err := r.waitHealthy(ctx); err != nil {
			return nil, err
		}
		r.supervisor.Kill()
		began := time.Now()
		if err := r.startSupervisor(); err != nil {
			return nil, err
		}
		for r.countPlugins(ctx, isRunning) < len(r.dirs) {
			if err := r.supervisor.Pass(ctx, time.Millisecond); err != nil {
				return nil, err
			}
		}
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return all, nil
}
