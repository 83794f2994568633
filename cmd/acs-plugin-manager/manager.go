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

// manager runs one command line.
type manager struct {
	o        options
	cfg      config.Config
	registry *registry.Registry
	runner   *process.Runner
	plane    *control.Client // nil for commands that do not need it
	log      logrus.FieldLogger
	pause    time.Duration // between the tries of a report
	streams
}

// newManager returns a manager with the configuration of the supervisor (SPEC 11).
func newManager(o options, i invocation) (*manager, error) {
	log := logrus.New()
	log.SetOutput(i.stderr)
	log.SetLevel(logrus.WarnLevel)
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.AddFlags(flags)
	cfg, warnings, err := config.Load(config.Sources{File: i.config, Environ: i.environ, Flags: flags})
	if err == nil {
		err = setControlPlane(&cfg, i.environ, i.executable)
	}
	if err != nil {
		return nil, failWith(exitUsage, "%w", err)
	}
	if o.verbose {
		for _, w := range warnings {
			fmt.Fprintf(i.stderr, "acs-plugin-manager: %s\n", w)
		}
	}
	if err := setRoot(&cfg, i.executable); err != nil {
		return nil, err
	}
	if err := owner.BecomeOf(cfg.Root); err != nil {
		return nil, failWith(exitUsage, "%w", err)
	}
	m := &manager{
		o: o, cfg: cfg, log: log, pause: i.pause, streams: i.streams,
		registry: registry.New(registry.Options{Root: cfg.Root, Log: log}),
		runner:   process.NewRunner(process.Options{Grace: cfg.Restart.KillGrace, Log: log}),
	}
	if !o.needsControlPlane() {
		return m, nil
	}
	who, err := config.InstanceID(cfg.Root, cfg.InstanceID, config.MachineIDFile)
	if err != nil {
		log.WithField("cause", err).Warn("Cannot save the instance id")
	}
	if m.plane, err = packagesource.NewClient(cfg, who.ID, log); err != nil {
		return nil, failWith(exitUsage, "%w", err)
	}
	return m, nil
}

// needsControlPlane reports whether the command line needs the control plane.
func (o options) needsControlPlane() bool {
	return o.command == commandExec || o.command == commandRemove || o.command == commandList && !o.local
}

// runCommand runs the command of the command line.
func (m *manager) runCommand(ctx context.Context) error {
	switch m.o.command {
	case commandList:
		return m.printList(ctx)
	case commandVerify:
		return m.verifyPackage(ctx)
	case commandStatus:
		return m.printStatus(ctx)
	case commandExec:
		return m.execPlugin(ctx)
	default:
		return m.removePlugin(ctx)
	}
}

func (m *manager) close() {
	if m.plane != nil {
		m.plane.Close()
	}
}

// printLine prints a message to stderr.
func (m *manager) printLine(format string, args ...any) {
	fmt.Fprintf(m.stderr, "acs-plugin-manager: "+format+"\n", args...)
}

// commandTimeout returns the timeout of a plugin's command, not positive for none: of
// the command line, else of the record, or the default if that is not a number
// (SPEC 2).
func (o options) commandTimeout(timeout string) time.Duration {
	if o.timeout != nil {
		return *o.timeout
	}
	n, err := strconv.Atoi(timeout)
	if err != nil {
		return plugin.DefaultTimeout
	}
	return toSeconds(n)
}

// versionDir returns the folder of a version.
func (m *manager) versionDir(name, version string) string {
	return layout.Version(m.cfg.Root, name, version)
}

// lockFunc is lock.Shared or lock.Exclusive.
type lockFunc func(ctx context.Context, path string, waiting func()) (func(), bool, error)

// lockTimeout is the timeout of a lock without --fetchTimeout.
const lockTimeout = 20 * time.Second

// acquireLock takes a lock file and waits for it up to --fetchTimeout (CL-12).
func (m *manager) acquireLock(ctx context.Context, take lockFunc, path string) (func(), error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(max(m.o.fetchTimeout, 0), lockTimeout))
	defer cancel()
	release, _, err := take(ctx, path, func() { m.printLine("waiting for %s", path) })
	if err != nil {
		return nil, failWith(exitLock, "lock %s: %w", path, err)
	}
	return release, nil
}

// versionLockPath returns the lock file of an installation of one version (SPEC 1).
func (m *manager) versionLockPath(name, version string) string {
	return layout.VersionLock(m.cfg.Root, name, version)
}
