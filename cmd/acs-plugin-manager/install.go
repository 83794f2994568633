package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/native"
	"pluginsupervisor/internal/packagesource"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/plugin"
)

// installed is an installed version of a plugin.
type installed struct {
	plugin   plugin.Plugin
	timeout  string        // as recorded
	previous string        // the folder of the previous version, "" for none
	tag      plugin.SysTag // the change of the host's tag (SPEC 3)
	release  func()        // releases the shared lock of its name; nil: not just installed
}

// newInstaller returns the installer of the configuration.
func (m *manager) newInstaller() (*install.Installer, error) {
	cfg := m.cfg
	cfg.Install.FetchTimeout = cmp.Or(max(m.o.fetchTimeout, 0), cfg.Install.FetchTimeout)
	i, err := packagesource.NewInstaller(cfg)
	if err != nil {
		return nil, failWith(exitUsage, "%w", err)
	}
	return i, nil
}

// completeRecord completes the record of a package with data that is not in its
// config.json. old is the replaced record, nil for none.
type completeRecord func(r *record.Record, s *install.Staged, old *record.Record)

// recordListed returns a completeRecord for a package of the control plane. The list
// takes precedence over config.json, as in the existing program (CL-21).
func recordListed(p control.Package) completeRecord {
	return func(r *record.Record, _ *install.Staged, _ *record.Record) {
		r.URL, r.MD5, r.PluginID, r.IsPreInstalled = p.URL, p.MD5, p.PluginID, p.IsPreInstalled
		r.OSType, r.Arch = cmp.Or(p.OSType, r.OSType), cmp.Or(p.Arch, r.Arch)
		r.Publisher, r.Timeout = cmp.Or(p.Publisher, r.Publisher), cmp.Or(p.Timeout, r.Timeout)
		r.AddSysTag = r.AddSysTag || p.AddSysTag
	}
}

// recordFile is the recorder of a package file, as in the existing program (CL-21).
func recordFile(r *record.Record, s *install.Staged, old *record.Record) {
	r.URL, r.MD5 = "local", s.MD5
	r.PluginID = "local_" + r.Name + "_" + r.Version
	timeout := "60"
	if old != nil {
		r.PluginID, r.IsPreInstalled = old.PluginID, old.IsPreInstalled
		timeout = old.Timeout
	}
	if _, err := strconv.Atoi(r.Timeout); err != nil {
		r.Timeout = timeout
	}
}

// installPackage fetches, verifies, unpacks, places and records a package, unless this
// version is installed. Nothing but staging changes before the package is verified,
// and the previous version stays on the host.
//
// After an error the plugin has the name and version of the package, if known.
//
// The name lock is exclusive until the package is in place, then shared until release
// is called, so that no other program removes or replaces it meanwhile (CL-22).
func (m *manager) installPackage(ctx context.Context, r install.Request, complete completeRecord) (in installed, err error) {
	i, err := m.newInstaller()
	if err != nil {
		return in, err
	}
	defer i.Close()
	r.Resume = true
	staged, err := i.Stage(ctx, r)
	if err != nil {
		if f, ok := errors.AsType[*failure.Error](err); ok {
			in.plugin = plugin.Plugin{Name: f.Name, Version: f.Version}
		}
		return in, err
	}
	defer m.discardStaged(staged)
	release, err := m.lockExclusive(ctx, staged.Config.Name, staged.Config.Version)
	if err == nil {
		in, err = m.replaceVersion(ctx, staged, complete)
		release()
	}
	if err == nil {
		in.release, err = m.lockInstalled(ctx, in.plugin)
	}
	if err != nil {
		in.plugin = plugin.Plugin{Name: staged.Config.Name, Version: staged.Config.Version}
	}
	return in, err
}

// replaceVersion places a package and records it, unless this version is installed.
// The caller holds the locks.
func (m *manager) replaceVersion(ctx context.Context, staged *install.Staged, complete completeRecord) (in installed, err error) {
	old, had, err := m.registry.Find(ctx, staged.Config.Name)
	if err != nil {
		return in, failWith(exitDatabaseRead, "read plugin database: %w", err)
	}
	if err := m.checkNoUpgrade(staged.Config.Name); err != nil {
		return in, err
	}
	if had && old.Version == staged.Config.Version {
		return installed{plugin: old.Plugin(), timeout: old.Timeout}, nil
	}
	r := staged.Config.Record()
	if had {
		complete(&r, staged, &old)
	} else {
		complete(&r, staged, nil)
	}
	m.warnBlocked(r.Name, r.Version)
	if err := m.placePackage(ctx, staged, r); err != nil {
		return in, err
	}
	fmt.Fprintf(m.stderr, "Plugin[%s] installed!\n", r.Name)
	in = installed{plugin: r.Plugin(), timeout: r.Timeout}
	if had {
		in.previous = m.versionDir(old.Name, old.Version)
	}
	switch {
	case r.AddSysTag:
		in.tag = plugin.SysTagAdd
	case had && old.AddSysTag:
		in.tag = plugin.SysTagRemove
	}
	return in, nil
}

// lockInstalled takes the shared lock of a plugin that was just installed and fails
// when another program has removed or replaced it in between.
func (m *manager) lockInstalled(ctx context.Context, p plugin.Plugin) (release func(), err error) {
	release, err = m.acquireLock(ctx, lock.Shared, layout.NameLock(m.cfg.Root, p.Name))
	if err != nil {
		return nil, err
	}
	r, err := m.findRecord(ctx, p.Name)
	if err == nil && r.Version != p.Version {
		err = failWith(exitNotFound, "%s %s was replaced by %s meanwhile", p.Name, p.Version, r.Version)
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// placePackage places the package and records it, or changes nothing.
func (m *manager) placePackage(ctx context.Context, staged *install.Staged, r record.Record) error {
	err := m.newNative(m.runner, nil).Install(ctx, staged, r)
	if errors.Is(err, native.ErrNotRecorded) {
		return failWith(exitDatabaseWrite, "%w", err)
	}
	return err
}

// lockExclusive takes the exclusive locks of a name and a version (SPEC 1).
func (m *manager) lockExclusive(ctx context.Context, name, version string) (release func(), err error) {
	byName, err := m.acquireLock(ctx, lock.Exclusive, layout.NameLock(m.cfg.Root, name))
	if err != nil {
		return nil, err
	}
	byVersion, err := m.acquireLock(ctx, lock.Exclusive, m.versionLockPath(name, version))
	if err != nil {
		byName()
		return nil, err
	}
	return func() {
		byVersion()
		byName()
	}, nil
}

// checkNoUpgrade returns an error when an upgrade of the plugin was interrupted: the
// supervisor has to finish or undo it first.
func (m *manager) checkNoUpgrade(name string) error {
	t, found, err := transaction.New(m.cfg.Root, nil).Find(name)
	switch {
	case err != nil:
		return failWith(exitLock, "cannot check for an interrupted upgrade: %w", err)
	case found:
		return failWith(exitLock, "an upgrade of %s to %s was interrupted: start the supervisor, which finishes it", name, t.To.Version)
	}
	return nil
}

// warnBlocked prints a warning when the supervisor blocks a version of the control
// plane. It does not bind a user of this program.
func (m *manager) warnBlocked(name, version string) {
	if ban, banned := transaction.New(m.cfg.Root, nil).FindQuarantined(name, version, time.Now(), m.cfg.Upgrade.Quarantine); banned {
		m.printLine("the supervisor blocks %s %s until %s: %s", name, version, ban.Until.Format(time.RFC3339), ban.Cause)
	}
}

// discardStaged removes the staged package.
func (m *manager) discardStaged(s *install.Staged) {
	if err := s.Discard(); err != nil {
		m.printLine("remove staging: %v", err)
	}
}
