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
	"pluginsupervisor/internal/tools/rig"
	"pluginsupervisor/plugin"
)

// How long a plugin must run before its next restart is at once.
const (
	soonHealthy = 300 * time.Millisecond // so that one is restarted again and again
	lateHealthy = 20 * time.Second       // so that no check of health falls into what is measured
)

// steady is the record of a plugin like the daemons that are measured.
var steady = record.Record{
	Name: "steady", Version: "1.0", RunPath: "run", Type: plugin.Persist, Timeout: "10", HeartbeatInterval: 60,
}

// daemonScript is a plugin as small as the service of runit that it is compared
// with: a shell that starts the daemon.
const daemonScript = `#!/bin/sh
case $1 in
--start) "$PLUGIN_DIR/naive" daemon & echo $! >"$PLUGIN_DIR/pid" ;;
--status) kill -0 "$(cat "$PLUGIN_DIR/pid")" ;;
--stop) kill "$(cat "$PLUGIN_DIR/pid")" ;;
esac
`

// daemonRig is a supervisor with plugins that trust it.
type daemonRig struct {
	in         *rig.Installation
	supervisor *rig.Child
	client     *admin.Client
	dirs       []string // of the plugins' versions
	bin        string
	config     string

	healthyAfter time.Duration
}

// newDaemonRig starts a supervisor with that many plugins, and waits until all run.
func newDaemonRig(ctx context.Context, o options, plugins int, stagger time.Duration) (_ *daemonRig, err error) {
	r, err := prepareDaemonRig(ctx, o, plugins, stagger, soonHealthy)
	if err != nil {
		return nil, err
	}
	if err = r.start(); err == nil {
		err = r.settle(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// prepareDaemonRig installs the plugins, and starts nothing.
func prepareDaemonRig(ctx context.Context, o options, plugins int, stagger, healthyAfter time.Duration) (_ *daemonRig, err error) {
	in, err := rig.NewInstallation()
	if err != nil {
		return nil, err
	}
	r := &daemonRig{
		in: in, bin: o.bin, healthyAfter: healthyAfter, config: filepath.Join(in.Root, "supervisor.yaml"),
		client: admin.Dial(layout.Socket(in.Root)),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	program, script := filepath.Join(in.Root, "naive"), filepath.Join(in.Root, "script")
	if err := rig.Build(ctx, "naive", program); err != nil {
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
		if err := os.Link(program, filepath.Join(dir, "naive")); err != nil {
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

func (r *daemonRig) start() (err error) {
	r.supervisor, err = rig.Spawn(filepath.Join(r.bin, "supervisor"), filepath.Join(r.in.Root, "supervisor.log"), "run", "--config", r.config)
	return err
}

// close ends the supervisor, then the plugins.
func (r *daemonRig) close() error {
	var err error
	if r.supervisor != nil {
		err = r.supervisor.Stop()
	}
	return errors.Join(err, r.in.Clear())
}

// settle waits until every plugin runs, and has proven to be healthy again.
func (r *daemonRig) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rig.SettleWithin)
	defer cancel()
	for {
		if err := r.supervisor.Pass(ctx, r.healthyAfter+3*time.Second); err != nil {
			return fmt.Errorf("%d of %d plugins run: %w", r.count(ctx, running), len(r.dirs), err)
		}
		if r.count(ctx, func(v plugin.View) bool { return running(v) && v.Failures == 0 }) == len(r.dirs) {
			return nil
		}
	}
}

// aloneWithin is the limit for a plugin that alone was killed to run again.
const aloneWithin = 10 * time.Second

// running reports whether a plugin runs and is watched.
func running(v plugin.View) bool { return v.State == plugin.StateRunning && len(v.PIDs) > 0 }

// count returns the number of such plugins; none when there is no answer.
func (r *daemonRig) count(ctx context.Context, like func(plugin.View) bool) (n int) {
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

func numberIn(dir, file string) (int, error) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// kill kills a daemon, and returns when.
func kill(dir string) (time.Duration, error) {
	pid, err := numberIn(dir, "pid")
	if err != nil {
		return 0, err
	}
	at := monotonic()
	return at, syscall.Kill(pid, syscall.SIGKILL)
}

// born waits for the first daemon that was started after a moment, and returns when
// it was: at its first instruction, by its own word.
func born(ctx context.Context, dir string, after, within time.Duration) (time.Duration, error) {
	const pause = 200 * time.Microsecond
	for over := time.Now().Add(within); ; time.Sleep(pause) {
		if at, err := numberIn(dir, "born"); err == nil && time.Duration(at) > after {
			return time.Duration(at), nil
		}
		if ctx.Err() != nil || time.Now().After(over) {
			return 0, errors.Join(fmt.Errorf("the plugin in %s did not come back in %s", dir, within), context.Cause(ctx))
		}
	}
}

// single kills one plugin after the other, each alone, and measures how long
// it is away (EV-05).
func (r *daemonRig) single(ctx context.Context, deaths int) (spans, error) {
	var all spans
	for i := range deaths {
		dir := r.dirs[i%len(r.dirs)]
		if i >= len(r.dirs) && i%len(r.dirs) == 0 {
			if err := r.settle(ctx); err != nil {
				return nil, err
			}
		}
		died, err := kill(dir)
		if err != nil {
			return nil, err
		}
		back, err := born(ctx, dir, died, aloneWithin)
		if err != nil {
			return nil, err
		}
		all = append(all, back-died)
		if err := r.supervisor.Pass(ctx, 10*time.Millisecond); err != nil { // that it is back has been noticed
			return nil, err
		}
	}
	slices.Sort(all)
	return all, nil
}

// adoption kills the supervisor, and measures from the start of the next until
// its status shows all plugins as running and watched (EV-07).
func (r *daemonRig) adoption(ctx context.Context, rounds int) (spans, error) {
	var all spans
	for range rounds {
		if err := r.settle(ctx); err != nil {
			return nil, err
		}
		r.supervisor.Kill()
		began := time.Now()
		if err := r.start(); err != nil {
			return nil, err
		}
		for r.count(ctx, running) < len(r.dirs) {
			if err := r.supervisor.Pass(ctx, time.Millisecond); err != nil {
				return nil, err
			}
		}
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return all, nil
}
