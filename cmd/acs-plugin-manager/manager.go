package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"

	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/owner"
	"pluginsupervisor/internal/packagesource"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// manager carries out one command line.
type manager struct {
	o        options
	cfg      config.Config
	registry *registry.Registry
	runner   *process.Runner
	plane    *control.Client // nil for commands that need none
	log      logrus.FieldLogger
	pause    time.Duration // between the tries of a report
	streams
}

// newManager reads the configuration that the supervisor has (SPEC 11).
func newManager(o options, i invocation) (*manager, error) {
	log := logrus.New()
	log.SetOutput(i.stderr)
	log.SetLevel(logrus.WarnLevel)
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.AddFlags(flags)
	cfg, warnings, err := config.Load(config.Sources{File: i.config, Environ: i.environ, Flags: flags})
	if err == nil {
		err = reach(&cfg, i.environ, i.executable)
	}
	if err != nil {
		return nil, fail(exitUsage, "%w", err)
	}
	if o.verbose {
		for _, w := range warnings {
			fmt.Fprintf(i.stderr, "acs-plugin-manager: %s\n", w)
		}
	}
	if err := locate(&cfg, i.executable); err != nil {
		return nil, err
	}
	if err := owner.BecomeOf(cfg.Root); err != nil {
		return nil, fail(exitUsage, "%w", err)
	}
	m := &manager{
		o: o, cfg: cfg, log: log, pause: i.pause, streams: i.streams,
		registry: registry.New(registry.Options{Root: cfg.Root, Log: log}),
		runner:   process.NewRunner(process.Options{Grace: cfg.Restart.KillGrace, Log: log}),
	}
	if !o.speaks() {
		return m, nil
	}
	who, err := config.InstanceID(cfg.Root, cfg.InstanceID, config.MachineIDFile)
	if err != nil {
		log.WithField("cause", err).Warn("Instance id could not be kept")
	}
	if m.plane, err = packagesource.NewClient(cfg, who.ID, log); err != nil {
		return nil, fail(exitUsage, "%w", err)
	}
	return m, nil
}

// speaks reports whether the command line needs the control plane.
func (o options) speaks() bool {
	return o.command == execute || o.command == remove || o.command == list && !o.local
}

// do carries out the command line.
func (m *manager) do(ctx context.Context) error {
	switch m.o.command {
	case list:
		return m.list(ctx)
	case verify:
		return m.verify(ctx)
	case status:
		return m.status(ctx)
	case execute:
		return m.exec(ctx)
	default:
		return m.remove(ctx)
	}
}

func (m *manager) close() {
	if m.plane != nil {
		m.plane.Close()
	}
}

// say prints a line for people.
func (m *manager) say(format string, args ...any) {
	fmt.Fprintf(m.stderr, "acs-plugin-manager: "+format+"\n", args...)
}

// deadline returns how long a command of a plugin with that timeout may take, not
// positive for ever: what the command line says, else the timeout as it is, and
// the default where that is no number (SPEC 2).
func (o options) deadline(timeout string) time.Duration {
	if o.timeout != nil {
		return *o.timeout
	}
	n, err := strconv.Atoi(timeout)
	if err != nil {
		return plugin.DefaultTimeout
	}
	return toSeconds(n)
}

// dir is the folder of a version.
func (m *manager) dir(name, version string) string {
	return layout.Version(m.cfg.Root, name, version)
}

// locker is lock.Shared or lock.Exclusive.
type locker func(ctx context.Context, path string, waiting func()) (func(), bool, error)

// lockWait is how long a lock is waited for without --fetchTimeout.
const lockWait = 20 * time.Second

// lock takes a lock file, waiting for it as long as --fetchTimeout says (CL-12).
func (m *manager) lock(ctx context.Context, take locker, path string) (func(), error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(max(m.o.fetchTimeout, 0), lockWait))
	defer cancel()
	release, _, err := take(ctx, path, func() { m.say("waiting for %s", path) })
	if err != nil {
		return nil, fail(exitLock, "lock %s: %w", path, err)
	}
	return release, nil
}

// versionLock is the file who installs one version holds (SPEC 1).
func (m *manager) versionLock(name, version string) string {
	return layout.VersionLock(m.cfg.Root, name, version)
}
