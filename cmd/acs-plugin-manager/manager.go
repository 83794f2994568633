package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"

	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/owner"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/internal/supply"
	"pluginsupervisor/internal/version"
)

// manager carries out one command line.
type manager struct {
	o              options
	cfg            config.Config
	registry       *registry.Registry
	runner         *process.Runner
	plane          *control.Client
	log            logrus.FieldLogger
	stdout, stderr io.Writer
}

// newManager reads the configuration the supervisor has (SPEC 11).
func newManager(o options, environ []string, stdout, stderr io.Writer) (*manager, error) {
	log := logrus.New()
	log.SetOutput(stderr)
	log.SetLevel(logrus.WarnLevel)
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.AddFlags(flags)
	cfg, _, err := config.Load(config.Sources{File: config.DefaultFile, Environ: environ, Flags: flags})
	if err != nil {
		return nil, fail(exitUsage, "%w", err)
	}
	if err := owner.BecomeOf(cfg.Root); err != nil {
		return nil, fail(exitUsage, "%w", err)
	}
	m := &manager{
		o: o, cfg: cfg, log: log, stdout: stdout, stderr: stderr,
		registry: registry.New(registry.Options{Root: cfg.Root, Log: log}),
		runner:   process.NewRunner(process.Options{Grace: cfg.Restart.KillGrace, Log: log}),
	}
	who, err := config.InstanceID(cfg.Root, cfg.InstanceID, config.MachineIDFile)
	if err != nil {
		log.WithField("cause", err).Warn("Instance id could not be kept")
	}
	reach := supply.Plane(cfg)
	reach.InstanceID, reach.Version = who.ID, version.String()
	m.plane, err = control.New(reach, log)
	if err != nil {
		return nil, fail(exitUsage, "%w", err)
	}
	return m, nil
}

func (m *manager) close() { m.plane.Close() }

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
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(m.o.fetchTimeout, lockWait))
	defer cancel()
	release, _, err := take(ctx, path, func() {
		fmt.Fprintf(m.stderr, "acs-plugin-manager: waiting for %s\n", path)
	})
	if err != nil {
		return nil, fail(exitLock, "lock %s: %w", path, err)
	}
	return release, nil
}

// versionLock is the file who installs one version holds (SPEC 1).
func (m *manager) versionLock(name, version string) string {
	return layout.VersionLock(m.cfg.Root, name, version)
}
