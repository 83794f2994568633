package supervisor

import (
	"context"
	"errors"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/heartbeat"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/packagesource"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

// Direct makes changes of plugins in this process while no supervisor runs, under
// the same locks. It is for the programs of this module.
type Direct struct {
	packages *packagesource.Source
	prepared *preparedPackage
	manager  pluginManager
	closers  []func() error
}

// OpenDirect opens the parts that a change needs and makes the process a child
// subreaper. Close closes them.
func OpenDirect(cfg config.Config, log logrus.FieldLogger) (d *Direct, err error) {
	d = &Direct{}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if err := PrepareRoot(cfg.Root); err != nil {
		return d, err
	}
	client, err := packagesource.NewClient(cfg, resolveInstanceID(cfg, log), log)
	if err != nil {
		return d, err
	}
	d.closers = append(d.closers, func() error { client.Close(); return nil })
	if d.packages, err = packagesource.New(cfg, client, log); err != nil {
		return d, err
	}
	d.closers = append(d.closers, func() error { d.packages.Close(); return nil })
	tracker, _, err := newTracker(cfg, true, log)
	if err != nil {
		return d, err
	}
	d.closers = append(d.closers, tracker.Close)
	d.prepared = &preparedPackage{Source: d.packages}
	runner := process.NewRunner(process.Options{Grace: cfg.Restart.KillGrace, Tracker: tracker, Log: log})
	d.manager, _, _ = newManager(cfg, runner, tracker, nil, heartbeat.New(cfg.Root), d.prepared, log)
	return d, nil
}

// Close closes the parts in reverse order.
func (d *Direct) Close() (err error) {
	for len(d.closers) > 0 {
		last := len(d.closers) - 1
		err = errors.Join(err, d.closers[last]())
		d.closers = d.closers[:last]
	}
	return err
}

// Fetches returns the packages that are being fetched.
func (d *Direct) Fetches() []plugin.FetchProgress { return d.packages.Fetches() }

// Change makes a change. staged is its package, or nil if it must be fetched.
func (d *Direct) Change(ctx context.Context, c plugin.Change, staged *install.Staged) plugin.ChangeResult {
	d.prepared.staged = staged
	if err := d.manager.Fetch(ctx, c); err != nil {
		return plugin.FailedChange(err)
	}
	return d.manager.Change(ctx, c, plugin.ChangePermit{})
}

// preparedPackage is a source of packages of which one may be staged already.
type preparedPackage struct {
	*packagesource.Source
	staged *install.Staged // nil for none
}

// Stage implements native.Packages.
func (g *preparedPackage) Stage(ctx context.Context, c plugin.Change) (*install.Staged, error) {
	if g.staged != nil {
		return g.staged, nil
	}
	return g.Source.Stage(ctx, c)
}
