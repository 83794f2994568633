package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/native"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/supply"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/plugin"
)

// installed is a version of a plugin that was put in its place.
type installed struct {
	plugin   plugin.Plugin
	previous string        // the folder of the version before; "": there was none
	tag      plugin.SysTag // what the host's tag becomes (SPEC 3)
	release  func()        // the locks of its name and version
}

// installer fetches and checks packages as the configuration demands.
func (m *manager) installer() (*install.Installer, error) {
	cfg := m.cfg
	cfg.Install.FetchTimeout = cmp.Or(m.o.fetchTimeout, cfg.Install.FetchTimeout)
	i, err := supply.Installer(cfg)
	if err != nil {
		return nil, fail(exitUsage, "%w", err)
	}
	return i, nil
}

// install gets a package, verifies and unpacks it, puts it in its place and
// records it. Until the package is known to be good nothing has changed but
// staging, and the version before stays on the host. listed is what the control
// plane says of the package, if that is where it comes from.
//
// What was installed is locked until release is called, so that nobody starts,
// changes or removes it meanwhile.
func (m *manager) install(ctx context.Context, r install.Request, listed control.Package) (in installed, err error) {
	i, err := m.installer()
	if err != nil {
		return in, err
	}
	defer i.Close()
	r.Resume = true
	staged, err := i.Stage(ctx, r)
	if err != nil {
		return in, err
	}
	defer m.discard(staged)
	record := staged.Config.Record()
	record.URL, record.MD5, record.AddSysTag = listed.URL, listed.MD5, record.AddSysTag || listed.AddSysTag
	in.plugin = record.Plugin()
	if in.release, err = m.lockAlone(ctx, record.Name, record.Version); err != nil {
		return in, err
	}
	defer func() {
		if err != nil {
			in.release()
		}
	}()
	old, had, err := m.registry.Find(ctx, record.Name)
	if err != nil {
		return in, fail(exitDatabaseRead, "read plugin database: %w", err)
	}
	if err := m.mayChange(record.Name); err != nil {
		return in, err
	}
	if listed.URL != "" && had && old.Version == record.Version { // by another, while we waited
		in.plugin = old.Plugin()
		return in, nil
	}
	m.warnOfBan(record.Name, record.Version)
	if err := m.put(ctx, staged, record); err != nil {
		return in, err
	}
	fmt.Fprintf(m.stderr, "Plugin[%s] installed!\n", record.Name)
	if had && old.Version != record.Version {
		in.previous = m.dir(old.Name, old.Version)
	}
	switch {
	case record.AddSysTag:
		in.tag = plugin.SysTagAdd
	case had && old.AddSysTag:
		in.tag = plugin.SysTagRemove
	}
	return in, nil
}

// put puts the package in its place and records it, or leaves all as it was.
func (m *manager) put(ctx context.Context, staged *install.Staged, r record.Record) error {
	err := m.native(caller{m.runner, m.o.timeout}, nil).Install(ctx, staged, r)
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
	if ban, banned := transaction.New(m.cfg.Root, nil).Banned(name, version, time.Now(), m.cfg.Upgrade.Quarantine); banned {
		fmt.Fprintf(m.stderr, "acs-plugin-manager: the supervisor refuses %s %s until %s: %s\n", name, version, ban.Until.Format(time.RFC3339), ban.Cause)
	}
}

// discard removes what was staged.
func (m *manager) discard(s *install.Staged) {
	if err := s.Discard(); err != nil {
		fmt.Fprintf(m.stderr, "acs-plugin-manager: remove staging: %v\n", err)
	}
}
