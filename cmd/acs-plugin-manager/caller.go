package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/native"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

// callerRunner runs commands of plugins in the caller's working directory, with the
// caller's standard streams (CL-17) and the timeout of the command line (SPEC 2).
type callerRunner struct {
	runner  *process.Runner
	streams process.Streams
	timeout time.Duration // not positive: none
}

// Run implements native.Runner. Processes that the command leaves in its group keep
// running, as with the existing program.
func (c callerRunner) Run(ctx context.Context, cmd process.Command) process.Result {
	cmd.Dir, cmd.Timeout = workingFolder(), c.timeout
	cmd.Streams, cmd.Log, cmd.Daemon = &c.streams, "", true
	r := c.runner.Run(ctx, cmd)
	if c.streams.Foreground {
		takeTerminal(c.streams.In)
	}
	return r
}

// takeTerminal makes this program the foreground process of the terminal again.
func takeTerminal(terminal *os.File) {
	signal.Ignore(syscall.SIGTTOU) // we are in the background
	defer signal.Reset(syscall.SIGTTOU)
	_ = unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPGRP, unix.Getpgrp()) // on an error the caller does it
}

// statusRunner runs the `--status` of plugins without printing their output.
type statusRunner struct {
	runner *process.Runner
	limit  time.Duration // of each, besides the plugin's own timeout
}

// statusLimit is the timeout of a `--status`. The existing agent waits 120 s for all
// of them and then has no status of any plugin (CL-18).
const statusLimit = 100 * time.Second

// Run implements native.Runner.
func (a statusRunner) Run(ctx context.Context, cmd process.Command) process.Result {
	cmd.Dir, cmd.Timeout = workingFolder(), min(cmd.Timeout, a.limit)
	return a.runner.Run(ctx, cmd)
}

func workingFolder() string {
	if here, err := os.Getwd(); err == nil {
		return here
	}
	return "/"
}

// newNative returns the manager that runs plugins with r. tracker finds their
// processes; it may be nil when they are not needed.
func (m *manager) newNative(r native.Runner, tracker *process.Tracker) *native.Manager {
	return native.New(native.Options{
		Root: m.cfg.Root, Runner: r, Registry: m.registry, Tracker: tracker, Log: m.log,
		Grace: m.cfg.Restart.KillGrace, GoneByProcesses: tracker != nil,
	})
}

// newCallerRunner returns the runner of a plugin with that timeout in its record or
// its config.json.
func (m *manager) newCallerRunner(timeout string) callerRunner {
	return callerRunner{m.runner, m.streams.forPlugins(m.o.foreground), m.o.commandTimeout(timeout)}
}

// runPlugin runs the executable of p with the parameters of the command line, in
// folder or, for "", in the installed version.
func (m *manager) runPlugin(ctx context.Context, p plugin.Plugin, timeout, folder, previous string) process.Result {
	return m.newNative(m.newCallerRunner(timeout), nil).Run(ctx, native.Run{Plugin: p, Args: m.o.params, Folder: folder, Previous: previous})
}

// probeStatus runs the `--status` of p and returns the result.
func (m *manager) probeStatus(ctx context.Context, p plugin.Plugin) plugin.Probe {
	limit := statusLimit
	if m.o.timeout != nil && *m.o.timeout > 0 {
		limit = min(limit, *m.o.timeout)
	}
	return m.newNative(statusRunner{m.runner, limit}, nil).Check(ctx, p)
}
