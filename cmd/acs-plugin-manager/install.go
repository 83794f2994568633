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

// installed is a version of a plugin that was put in its place.
type installed struct {
	plugin   plugin.Plugin
	timeout  string        // as recorded
	previous string        // the folder of the version before; "": there was none
	tag      plugin.SysTag // what the host's tag becomes (SPEC 3)
	release  func()        // the shared lock of its name
}

// installer fetches and checks packages as the configuration demands.
func (m *manager) installer() (*install.Installer, error) {
	cfg := m.cfg
	cfg.Install.FetchTimeout = cmp.Or(max(m.o.fetchTimeout, 0), cfg.Install.FetchTimeout)
	i, err := packagesource.NewInstaller(cfg)
	if err != nil {
		return nil, fail(exitUsage, "%w", err)
	}
	return i, nil
}

// recorder completes the record of a package with what is known of it beside
// its config.json. old is the record that it replaces, if there is one.
type recorder func(r *record.Record, s *install.Staged, old *record.Record)

// listed returns the recorder of a package of the control plane: what is listed
// takes precedence over config.json, as in the existing program (CL-21).
func listed(p control.Package) recorder {
	return func(r *record.Record, _ *install.Staged, _ *record.Record) {
		r.URL, r.MD5, r.PluginID, r.IsPreInstalled = p.URL, p.MD5, p.PluginID, p.IsPreInstalled
		r.OSType, r.Arch = cmp.Or(p.OSType, r.OSType), cmp.Or(p.Arch, r.Arch)
		r.Publisher, r.Timeout = cmp.Or(p.Publisher, r.Publisher), cmp.Or(p.Timeout, r.Timeout)
		r.AddSysTag = r.AddSysTag || p.AddSysTag
	}
}

// filed is the recorder of a package file, as in the existing program (CL-21).
func filed(r *record.Record, s *install.Staged, old *record.Record) {
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

// install gets a package, verifies and unpacks it, puts it in its place and
// records it, unless this version is installed. Until the package is known to be
// good nothing has changed but staging, and the version before stays on the host.
//
// After an error the plugin is what the package says that it is, as far as that is
// known.
//
// The plugin is locked alone until it is in its place, then shared until release
// is called, so that no other program removes or replaces it meanwhile (CL-22).
func (m *manager) install(ctx context.Context, r install.Request, complete recorder) (in installed, err error) {
	i, err := m.installer()
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
	defer m.discard(staged)
	release, err := m.lockAlone(ctx, staged.Config.Name, staged.Config.Version)
	if err == nil {
		in, err = m.replace(ctx, staged, complete)
		release()
	}
	if err == nil {
		in.release, err = m.keep(ctx, in.plugin)
	}
	if err != nil {
		in.plugin = plugin.Plugin{Name: staged.Config.Name, Version: staged.Config.Version}
	}
	return in, err
}

// replace puts a package in its place and records it, unless this version is
// installed. The locks are held.
func (m *manager) replace(ctx context.Context, staged *install.Staged, complete recorder) (in installed, err error) {
	old, had, err := m.registry.Find(ctx, staged.Config.Name)
	if err != nil {
		return in, fail(exitDatabaseRead, "read plugin database: %w", err)
	}
	if err := m.mayChange(staged.Config.Name); err != nil {
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
	m.warnOfBan(r.Name, r.Version)
	if err := m.put(ctx, staged, r); err != nil {
		return in, err
	}
	fmt.Fprintf(m.stderr, "Plugin[%s] installed!\n", r.Name)
	in = installed{plugin: r.Plugin(), timeout: r.Timeout}
	if had {
		in.previous = m.dir(old.Name, old.Version)
	}
	switch {
	case r.AddSysTag:
		in.tag = plugin.SysTagAdd
	case had && old.AddSysTag:
		in.tag = plugin.SysTagRemove
	}
	return in, nil
}

// keep locks a plugin that was just installed, shared, and makes sure that no
// other program has removed or replaced it in between.
func (m *manager) keep(ctx context.Context, p plugin.Plugin) (release func(), err error) {
	release, err = m.lock(ctx, lock.Shared, layout.NameLock(m.cfg.Root, p.Name))
	if err != nil {
		return nil, err
	}
	r, err := m.find(ctx, p.Name)
	if err == nil && r.Version != p.Version {
		err = fail(exitNotFound, "%s %s was replaced by %s meanwhile", p.Name, p.Version, r.Version)
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// put puts the package in its place and records it, or leaves all as it was.
func (m *manager) put(ctx context.Context, staged *install.Staged, r record.Record) error {
	err := m.native(m.runner, nil).Install(ctx, staged, r)
	if errors.Is(err, native.ErrNotRecorded) {
		return fail(exitDatabaseWrite, "%w", err)
	}
	return err
}

// lockAlone takes the locks of a name and a version of it (SPEC 1).
func (m *manager) lockAlone(ctx context.Context, name, version string) (release func(), err error) {
	byName, err := m.lock(ctx, lock.Exclusive, layout.NameLock(m.cfg.Root, name))
	if err != nil {
		return nil, err
	}
	byVersion, err := m.lock(ctx, lock.Exclusive, m.versionLock(name, version))
	if err != nil {
		byName()
		return nil, err
	}
	return func() {
		byVersion()
		byName()
	}, nil
}

// mayChange refuses to change a plugin in the middle of an upgrade that was cut
// short: the supervisor finishes or undoes it, and knows what from.
func (m *manager) mayChange(name string) error {
	t, found, err := transaction.New(m.cfg.Root, nil).Find(name)
	switch {
	case err != nil:
		return fail(exitLock, "whether an upgrade was cut short is not known: %w", err)
	case found:
		return fail(exitLock, "an upgrade of %s to %s was cut short: the supervisor brings it to its end when it is started", name, t.To.Version)
	}
	return nil
}

// warnOfBan says that the supervisor refuses a version to the control plane for
// a while, which does not bind who sits before the host.
func (m *manager) warnOfBan(name, version string) {
	if ban, banned := transaction.New(m.cfg.Root, nil).FindQuarantined(name, version, time.Now(), m.cfg.Upgrade.Quarantine); banned {
		m.say("the supervisor blocks %s %s until %s: %s", name, version, ban.Until.Format(time.RFC3339), ban.Cause)
	}
}

// discard removes what was staged.
func (m *manager) discard(s *install.Staged) {
	if err := s.Discard(); err != nil {
		m.say("remove staging: %v", err)
	}
}
