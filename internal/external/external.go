// Package external is the manager that runs an acs-plugin-manager program: the
// existing one, or the drop-in built from this module. It reads the plugin database
// itself, and everything else from the program's output and exit code (SPEC 11).
//
// The program takes the plugins' locks, applies their deadlines, and sends its own
// reports to the control plane; the caller's reports are sent regardless. Each run
// has the plugin's deadline plus a minute, so that the program reports a missed
// deadline before ours passes.
package external

import (
	"context"
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

const (
	statusTimeout = 120 * time.Second
	// allowance is added to the plugin's deadline for any other run.
	allowance = 60 * time.Second
	// maxStatus is the maximum that is read of the status of all plugins, in bytes: enough for 30,000.
	maxStatus = 4 << 20
)

// Registry reads the plugin database.
type Registry interface {
	List(ctx context.Context) (plugin.List, error)
	Find(ctx context.Context, name string) (r record.Record, found bool, err error)
}

// Packages fetches, verifies and unpacks the package of a change into staging. It also
// keeps the package file.
type Packages interface {
	Stage(ctx context.Context, c plugin.Change) (*install.Staged, error)
}

// Options configures a Manager. Path, Root, Runner and Registry are required, and
// Packages to install packages that an operator names.
type Options struct {
	Path     string // of the program, absolute
	Root     string // BASE, absolute
	Runner   *process.Runner
	Registry Registry
	Packages Packages
	Parallel int // plugins that are checked at once, when each is checked separately; not positive: as verb.Parallel
	Log      logrus.FieldLogger
}

// Manager runs the program. It is safe for concurrent use. Each call returns soon
// after its context ends, and kills the processes it started.
type Manager struct {
	path     string
	root     string
	runner   *process.Runner
	registry Registry
	packages Packages
	parallel int
	log      logrus.FieldLogger
	env      []string

	hung   hung
	staged install.Kept
	// statusTimeout is the deadline of the program's own `--status`, for all
	// plugins together.
	statusTimeout time.Duration
}

// New returns a manager. It accesses no file and runs nothing.
func New(o Options) *Manager {
	m := &Manager{
		path: o.Path, root: o.Root, runner: o.Runner, registry: o.Registry, packages: o.Packages, parallel: o.Parallel, log: o.Log,
		statusTimeout: statusTimeout,
	}
	m.log = logger.OrSilent(m.log)
	// The drop-in reads the supervisor's configuration and must use the same root.
	m.env = append(os.Environ(), "SUPERVISOR_ROOT="+o.Root)
	return m
}

// List reads the plugin database.
func (m *Manager) List(ctx context.Context) (plugin.List, error) {
	list, err := m.registry.List(ctx)
	if err == nil {
		m.hung.retain(list.Plugins)
	}
	return list, err
}

// Check runs `--status` of one plugin through the program (RS-06).
func (m *Manager) Check(ctx context.Context, p plugin.Plugin) plugin.Probe {
	r := m.runProgram(ctx, localCommand(p, plugin.VerbStatus))
	probe := verb.Probe(p, time.Now(), r)
	if r.Started && r.ExitCode == exitTimeout {
		probe.Cause, probe.NoAnswer = verb.NoAnswer(p), true
	}
	return probe
}

// Start runs `--start` through the program.
func (m *Manager) Start(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.runAndLog(ctx, localCommand(p, plugin.VerbStart))
}

// ForceStart is Start: the program takes the locks.
func (m *Manager) ForceStart(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.Start(ctx, p)
}

// Stop runs `--stop` through the program.
func (m *Manager) Stop(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.runAndLog(ctx, localCommand(p, plugin.VerbStop))
}

// Restart runs the plugin's own `--restart` through the program (PL-17).
func (m *Manager) Restart(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.runAndLog(ctx, localCommand(p, plugin.VerbRestart))
}

// command is one verb of one plugin.
type command struct {
	name, version string
	verb          plugin.Verb
	args          []string
	timeout       time.Duration // the plugin's
}

// localCommand returns the command for a verb of the installed version.
func localCommand(p plugin.Plugin, v plugin.Verb) command {
	return command{p.Name, p.Version, v, []string{"-e", "--local", "-P", p.Name, "-p", string(v)}, verb.Deadline(p)}
}

// runAndLog runs a verb that changes something and logs its result at debug level.
// The caller logs the consequences.
func (m *Manager) runAndLog(ctx context.Context, o command) plugin.Outcome {
	r := m.runProgram(ctx, o)
	outcome := verb.Outcome(o.verb, r)
	outcome.TimedOut = outcome.TimedOut || r.ExitCode == exitTimeout
	m.log.WithFields(logrus.Fields{
		"plugin": o.name, "version": o.version, "verb": string(o.verb),
		"took": r.Took.Round(time.Millisecond).String(), "cause": outcome.Cause(),
	}).Debug("Verb finished")
	return outcome
}

func (m *Manager) runProgram(ctx context.Context, o command) process.Result {
	if err := plugin.CheckName(o.name); err != nil {
		return process.Result{ExitCode: -1, Err: err}
	}
	return m.explainFailure(m.runner.Run(ctx, m.newCommand(o)))
}

func (m *Manager) newCommand(o command) process.Command {
	if o.timeout <= 0 {
		o.timeout = plugin.DefaultTimeout
	}
	c := process.Command{Path: m.path, Args: o.args, Env: m.env, Timeout: o.timeout + allowance}
	if o.verb.MayLeaveDaemon() {
		c.Daemon, c.Log, c.LogEvent = true, layout.Log(m.root, o.name), string(o.verb)+" of "+o.version
	}
	return c
}
