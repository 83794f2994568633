// Package external is the manager that leaves the work to an
// acs-plugin-manager program: the existing one, or the drop-in built from this
// module. It reads the plugin database itself and everything else from what the
// program prints and exits with (SPEC 11).
//
// The program takes the plugins' locks, applies their deadlines, and reports
// to the control plane as well; its reports do not count, the caller's are
// sent regardless. Each run has the plugin's deadline and a minute more, so
// that the program's own word on a deadline comes before ours.
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
	// allowance is what any other run has beside the plugin's deadline.
	allowance = 60 * time.Second
	// maxStatus is how much of the status of all plugins is read, in bytes: room for some 30,000.
	maxStatus = 4 << 20
)

// Registry is what is read of the plugin database.
type Registry interface {
	List(ctx context.Context) (plugin.List, error)
	Find(ctx context.Context, name string) (r record.Record, found bool, err error)
}

// Packages gets the package of a change, verified and unpacked, into staging, and
// keeps it there as it came, too.
type Packages interface {
	Stage(ctx context.Context, c plugin.Change) (*install.Staged, error)
}

// Options say which program is driven. Path, Root, Runner and Registry are
// needed, and Packages to install what an operator names.
type Options struct {
	Path     string // of the program, absolute
	Root     string // BASE, absolute
	Runner   *process.Runner
	Registry Registry
	Packages Packages
	Parallel int // plugins that are asked at once, where each is asked by itself; not positive: as verb.Parallel
	Log      logrus.FieldLogger
}

// Manager drives the program. It may be used by several goroutines at once;
// each call ends soon after its context, and with it the processes it ran.
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

// New returns a manager. It touches no file and runs nothing.
func New(o Options) *Manager {
	m := &Manager{
		path: o.Path, root: o.Root, runner: o.Runner, registry: o.Registry, packages: o.Packages, parallel: o.Parallel, log: o.Log,
		statusTimeout: statusTimeout,
	}
	m.log = logger.OrSilent(m.log)
	// The drop-in reads the supervisor's configuration: it must come to the same root as we did.
	m.env = append(os.Environ(), "SUPERVISOR_ROOT="+o.Root)
	return m
}

// List reads the plugin database.
func (m *Manager) List(ctx context.Context) (plugin.List, error) {
	list, err := m.registry.List(ctx)
	if err == nil {
		m.hung.keep(list.Plugins)
	}
	return list, err
}

// Check runs `--status` of one plugin through the program (RS-06).
func (m *Manager) Check(ctx context.Context, p plugin.Plugin) plugin.Probe {
	r := m.run(ctx, local(p, plugin.VerbStatus))
	probe := verb.Probe(p, time.Now(), r)
	if r.Started && r.ExitCode == exitTimeout {
		probe.Cause, probe.NoAnswer = verb.NoAnswer(p), true
	}
	return probe
}

// Start runs `--start` through the program.
func (m *Manager) Start(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.do(ctx, local(p, plugin.VerbStart))
}

// ForceStart is Start: the program takes the locks.
func (m *Manager) ForceStart(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.Start(ctx, p)
}

// Stop runs `--stop` through the program.
func (m *Manager) Stop(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.do(ctx, local(p, plugin.VerbStop))
}

// Restart runs the plugin's own `--restart` through the program (PL-17).
func (m *Manager) Restart(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.do(ctx, local(p, plugin.VerbRestart))
}

// order is one verb of one plugin.
type order struct {
	name, version string
	verb          plugin.Verb
	args          []string
	timeout       time.Duration // the plugin's
}

// local is an order to the version that is installed.
func local(p plugin.Plugin, v plugin.Verb) order {
	return order{p.Name, p.Version, v, []string{"-e", "--local", "-P", p.Name, "-p", string(v)}, verb.Deadline(p)}
}

// do runs a verb that changes something. How it ended is logged for whoever
// follows the steps; what it means, the caller knows and says.
func (m *Manager) do(ctx context.Context, o order) plugin.Outcome {
	r := m.run(ctx, o)
	outcome := verb.Outcome(o.verb, r)
	outcome.TimedOut = outcome.TimedOut || r.ExitCode == exitTimeout
	m.log.WithFields(logrus.Fields{
		"plugin": o.name, "version": o.version, "verb": string(o.verb),
		"took": r.Took.Round(time.Millisecond).String(), "cause": outcome.Cause(),
	}).Debug("Verb ended")
	return outcome
}

func (m *Manager) run(ctx context.Context, o order) process.Result {
	if err := plugin.CheckName(o.name); err != nil {
		return process.Result{ExitCode: -1, Err: err}
	}
	return m.explain(m.runner.Run(ctx, m.command(o)))
}

func (m *Manager) command(o order) process.Command {
	if o.timeout <= 0 {
		o.timeout = plugin.DefaultTimeout
	}
	c := process.Command{Path: m.path, Args: o.args, Env: m.env, Timeout: o.timeout + allowance}
	if o.verb.MayLeaveDaemon() {
		c.Daemon, c.Log = true, layout.Log(m.root, o.name)
	}
	return c
}
