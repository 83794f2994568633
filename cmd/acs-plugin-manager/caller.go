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

// caller runs plugins' commands as the caller of this program expects: in the
// caller's working directory, with the caller's standard streams (CL-17), and
// with the deadline of the command line (SPEC 2).
type caller struct {
	runner  *process.Runner
	streams process.Streams
	timeout time.Duration // not positive: none
}

// Run implements native.Runner. What the command leaves running in its group
// stays, as with the existing program.
func (c caller) Run(ctx context.Context, cmd process.Command) process.Result {
	cmd.Dir, cmd.Timeout = workingFolder(), c.timeout
	cmd.Streams, cmd.Log, cmd.Daemon = &c.streams, "", true
	r := c.runner.Run(ctx, cmd)
	if c.streams.Foreground {
		takeTerminal(c.streams.In)
	}
	return r
}

// takeTerminal makes this program the foreground of the terminal again.
func takeTerminal(terminal *os.File) {
	signal.Ignore(syscall.SIGTTOU) // we are in the background
	defer signal.Reset(syscall.SIGTTOU)
	_ = unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPGRP, unix.Getpgrp()) // else the caller does
}

// asker runs the `--status` of plugins, of which nothing is printed.
type asker struct {
	runner *process.Runner
	limit  time.Duration // of each, beside the plugin's own
}

// statusLimit is the longest that a `--status` may take. The existing agent gives
// all of them together 120 s, and knows nothing of any plugin after that (CL-18).
const statusLimit = 100 * time.Second

// Run implements native.Runner.
func (a asker) Run(ctx context.Context, cmd process.Command) process.Result {
	cmd.Dir, cmd.Timeout = workingFolder(), min(cmd.Timeout, a.limit)
	return a.runner.Run(ctx, cmd)
}

func workingFolder() string {
	if here, err := os.Getwd(); err == nil {
		return here
	}
	return "/"
}

// native returns the manager that runs plugins with r. tracker finds their
// processes; nil where nobody asks for them.
func (m *manager) native(r native.Runner, tracker *process.Tracker) *native.Manager {
	return native.New(native.Options{
		Root: m.cfg.Root, Runner: r, Registry: m.registry, Tracker: tracker, Log: m.log,
		Grace: m.cfg.Restart.KillGrace, GoneByProcesses: tracker != nil,
	})
}

// caller returns what runs the commands of a plugin with that timeout in its
// record or its config.json.
func (m *manager) caller(timeout string) caller {
	return caller{m.runner, m.streams.forPlugins(m.o.foreground), m.o.deadline(timeout)}
}

// run runs the executable of p in the folder, "" for where it is installed, with
// the parameters of the command line.
func (m *manager) run(ctx context.Context, p plugin.Plugin, timeout, folder, previous string) process.Result {
	return m.native(m.caller(timeout), nil).Run(ctx, native.Run{Plugin: p, Args: m.o.params, Folder: folder, Previous: previous})
}

// ask runs the `--status` of p.
func (m *manager) ask(ctx context.Context, p plugin.Plugin) plugin.Probe {
	limit := statusLimit
	if m.o.timeout != nil && *m.o.timeout > 0 {
		limit = min(limit, *m.o.timeout)
	}
	return m.native(asker{m.runner, limit}, nil).Check(ctx, p)
}
