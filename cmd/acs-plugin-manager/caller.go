package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"pluginsupervisor/internal/native"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

// keepOutput is how much of what a plugin prints is passed on, in bytes.
const keepOutput = 4 << 20

// caller runs plugins' commands as the caller of this program expects: in the
// caller's working directory, and with the deadline of the command line.
type caller struct {
	runner  *process.Runner
	timeout time.Duration // not positive: the plugin's own
}

// Run implements native.Runner.
func (c caller) Run(ctx context.Context, cmd process.Command) process.Result {
	here, err := os.Getwd()
	if err != nil {
		here = "/"
	}
	cmd.Dir, cmd.Keep = here, keepOutput
	if c.timeout > 0 {
		cmd.Timeout = c.timeout
	}
	return c.runner.Run(ctx, cmd)
}

// native returns the manager that runs plugins with r. tracker finds their
// processes; nil where nobody asks for them.
func (m *manager) native(r native.Runner, tracker *process.Tracker) *native.Manager {
	return native.New(native.Options{
		Root: m.cfg.Root, Runner: r, Registry: m.registry, Tracker: tracker, Log: m.log,
		Grace: m.cfg.Restart.KillGrace, GoneByProcesses: tracker != nil,
	})
}

// command runs the executable of p in the folder, "" for where it is installed.
func (m *manager) command(ctx context.Context, p plugin.Plugin, folder, previous string, args ...string) process.Result {
	r := caller{m.runner, m.o.timeout}
	return m.native(r, nil).Run(ctx, native.Run{Plugin: p, Args: args, Folder: folder, Previous: previous})
}

// printing prints what the verbs of a removal print, and keeps how the last one
// ended. `--status` is a question of ours and prints nothing.
type printing struct {
	caller
	stdout, stderr io.Writer
	last           process.Result
	unprinted      error // why something could not be printed
}

// Run implements native.Runner.
func (p *printing) Run(ctx context.Context, cmd process.Command) process.Result {
	r := p.caller.Run(ctx, cmd)
	verb := cmd.Args[0]
	if verb == string(plugin.VerbStatus) {
		return r
	}
	p.last = r
	if _, err := io.WriteString(p.stdout, r.Output); err != nil {
		p.unprinted = fmt.Errorf("print what %s said: %w", cmd.Plugin, err)
	}
	if r.Err != nil {
		fmt.Fprintf(p.stderr, "acs-plugin-manager: %s %s: %v\n", cmd.Plugin, verb, r.Err)
	}
	return r
}
