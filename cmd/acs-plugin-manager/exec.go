package main

import (
	"context"
	"fmt"
	"io"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/plugin"
)

// exec runs a plugin that is installed, or one from a package file.
func (m *manager) exec(ctx context.Context) error {
	switch {
	case m.o.file != "":
		return m.execFile(ctx)
	case m.o.local:
		return m.execLocal(ctx)
	}
	return fail(exitList, "fetching plugins from the control plane is not supported: use --local or --file")
}

// execLocal runs an installed plugin, sharing its name lock with all but who
// replaces or removes it.
func (m *manager) execLocal(ctx context.Context) error {
	wanted := plugin.Plugin{Name: m.o.plugin, Version: m.o.pluginVersion}
	if err := plugin.CheckName(wanted.Name); err != nil {
		return fail(exitNotFound, "plugin %q: %w", wanted.Name, err)
	}
	release, err := m.lock(ctx, lock.Shared, lock.Path(m.cfg.Root, wanted.Name))
	if err != nil {
		return err
	}
	defer release()
	r, ok, err := m.registry.Find(ctx, wanted.Name)
	if err != nil {
		return fail(exitDatabaseRead, "read plugin database: %w", err)
	}
	if !ok || wanted.Version != "" && wanted.Version != r.Version {
		err := fail(exitNotFound, "could not find local package [%s] version [%s]", wanted.Name, wanted.Version)
		m.told(ctx, wanted, "LocalInstalled", err)
		return err
	}
	return m.execute(ctx, r.Plugin(), "", "LocalInstalled")
}

// execute runs p with the parameters of the command line. After a verb that
// changes whether a persistent plugin runs, its status is asked and reported
// (CL-03).
func (m *manager) execute(ctx context.Context, p plugin.Plugin, previous, resource string) error {
	dir := m.dir(p.Name, p.Version)
	r := m.command(ctx, p, dir, previous, m.o.params)
	err := ended(p, r)
	if _, printErr := io.WriteString(m.stdout, r.Output); printErr != nil && err == nil {
		err = fmt.Errorf("print what %s said: %w", p.Name, printErr)
	}
	if p.Type == plugin.Persist && r.Started && changes(m.o.params) {
		status := plugin.StatusFailed
		if m.command(ctx, p, dir, "", []string{string(plugin.VerbStatus)}).Err == nil {
			status = plugin.StatusRunning
		}
		m.report(ctx, p, status)
	}
	m.told(ctx, p, resource, err)
	return err
}

// changes tells that the parameters are one verb that is more than a question.
func changes(params []string) bool {
	if len(params) != 1 {
		return false
	}
	switch plugin.Verb(params[0]) {
	case plugin.VerbInstall, plugin.VerbUninstall, plugin.VerbStart, plugin.VerbStop, plugin.VerbUpgrade, plugin.VerbRestart:
		return true
	}
	return false
}

// execFile installs a package file and runs it (CL-11). Nothing but staging
// has changed until the package is known to be good.
func (m *manager) execFile(ctx context.Context) error {
	i, err := m.installer()
	if err != nil {
		return err
	}
	defer i.Close()
	staged, err := i.Stage(ctx, install.Request{Source: m.o.file, Name: m.o.plugin, Version: m.o.pluginVersion})
	if err != nil {
		return err
	}
	defer m.discard(staged)
	release, err := m.lock(ctx, lock.Exclusive, lock.Path(m.cfg.Root, staged.Config.Name))
	if err != nil {
		return err
	}
	defer release()
	releaseVersion, err := m.lock(ctx, lock.Exclusive, m.versionLock(staged.Config.Name, staged.Config.Version))
	if err != nil {
		return err
	}
	defer releaseVersion()
	old, installed, err := m.registry.Find(ctx, staged.Config.Name)
	if err != nil {
		return fail(exitDatabaseRead, "read plugin database: %w", err)
	}
	if _, err := staged.Place(install.Replace); err != nil {
		return err
	}
	record := staged.Config.Record()
	if _, err := m.registry.Put(ctx, record); err != nil {
		return fail(exitDatabaseWrite, "record %s: %w", record.Name, err)
	}
	fmt.Fprintf(m.stderr, "Plugin[%s] installed!\n", record.Name)
	previous := ""
	if installed && old.Version != record.Version {
		previous = m.dir(old.Name, old.Version)
	}
	return m.execute(ctx, record.Plugin(), previous, "File")
}

// verify runs a package in its staging folder, which is gone afterwards (CL-14).
func (m *manager) verify(ctx context.Context) error {
	i, err := m.installer()
	if err != nil {
		return err
	}
	defer i.Close()
	staged, err := i.Stage(ctx, install.Request{Source: m.o.url})
	if err != nil {
		return err
	}
	defer m.discard(staged)
	p := staged.Config.Record().Plugin()
	r := m.command(ctx, p, staged.Dir, "", m.o.params)
	if _, err := io.WriteString(m.stdout, r.Output); err != nil {
		return fmt.Errorf("print what %s said: %w", p.Name, err)
	}
	return ended(p, r)
}

// discard removes what was staged.
func (m *manager) discard(s *install.Staged) {
	if err := s.Discard(); err != nil {
		fmt.Fprintf(m.stderr, "acs-plugin-manager: remove staging: %v\n", err)
	}
}
