package main

import (
	"context"
	"slices"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/plugin"
)

// execution is what was run, as an event reports it: a plugin, its type as far as
// that is known, and where it came from.
type execution struct {
	plugin   plugin.Plugin
	kind     string
	resource string
}

func newExecution(p plugin.Plugin, resource string) execution {
	return execution{p, p.Type.String(), resource}
}

// Where a plugin comes from, in the words of the event.
const (
	fromFile  = "LocalFile"
	fromHost  = "LocalInstalled"
	fromPlane = "Online"
)

// exec runs a plugin that is installed, one that the control plane lists, or
// one from a package file, and tells the control plane (CL-02).
func (m *manager) exec(ctx context.Context) error {
	run := m.execOnline
	switch {
	case m.o.file != "":
		run = m.execFile
	case m.o.local:
		run = m.execLocal
	}
	what, err := run(ctx)
	m.sendEvent(ctx, what, err)
	return err
}

// execLocal runs an installed plugin.
func (m *manager) execLocal(ctx context.Context) (execution, error) {
	return m.execInstalled(ctx, m.o.plugin, m.o.pluginVersion)
}

// execInstalled runs an installed plugin, in any version if none is given. It
// shares the name lock with all but who replaces or removes the plugin.
func (m *manager) execInstalled(ctx context.Context, name, version string) (execution, error) {
	what := newExecution(plugin.Plugin{Name: name, Version: version}, "")
	if err := plugin.CheckName(name); err != nil {
		return what, fail(exitNotFound, "plugin %q: %w", name, err)
	}
	release, err := m.lock(ctx, lock.Shared, layout.NameLock(m.cfg.Root, name))
	if err != nil {
		return what, err
	}
	defer release()
	r, ok, err := m.registry.Find(ctx, name)
	if err != nil {
		return what, fail(exitDatabaseRead, "read plugin database: %w", err)
	}
	if !ok || version != "" && version != r.Version {
		return what, fail(exitNotFound, "could not find local package [%s] version [%s]", name, version)
	}
	what = newExecution(r.Plugin(), fromHost)
	return what, m.execute(ctx, installed{plugin: what.plugin, timeout: r.Timeout})
}

// execOnline runs what the control plane lists, installing it first, unless
// that is what is installed; and what is installed when nothing else is to be
// had (CL-07, CL-08, CL-09).
func (m *manager) execOnline(ctx context.Context) (execution, error) {
	name, version := m.o.plugin, m.o.pluginVersion
	what := newExecution(plugin.Plugin{Name: name, Version: version}, "")
	if err := plugin.CheckName(name); err != nil {
		return what, fail(exitNotFound, "plugin %q: %w", name, err)
	}
	all, failed := m.listed(ctx, control.PackageQuery{PluginName: name, Version: version})
	local, here, err := m.registry.Find(ctx, name)
	if err != nil {
		return what, fail(exitDatabaseRead, "read plugin database: %w", err)
	}
	here = here && (version == "" || version == local.Version)
	if failed != nil {
		if !here {
			return what, failed
		}
		m.say("%v; %s %s is installed", failed, name, local.Version)
		return m.execInstalled(ctx, name, version)
	}
	switch newest, found := m.newest(all); {
	case found && (!here || newest.Version != local.Version):
		return m.execListed(ctx, newest)
	case here:
		return m.execInstalled(ctx, name, version)
	case len(all) > 0:
		return what, fail(exitNotFound, "could not find local package [%s] version [%s]; the control plane has it for arch %v, this is %s",
			name, version, arches(all), platform.LocalArch())
	}
	return what, fail(exitNotFound, "could not find package [%s] version [%s], neither on this host nor listed by the control plane", name, version)
}

// newest returns the package of the highest version for this host (CL-07).
func (m *manager) newest(all []control.Package) (newest control.Package, found bool) {
	for _, p := range all {
		if m.plane.FitsThisHost(p) && (!found || plugin.CompareVersions(p.Version, newest.Version) > 0) {
			newest, found = p, true
		}
	}
	return newest, found
}

// arches are the architectures of packages, each once.
func arches(ps []control.Package) []string {
	var all []string
	for _, p := range ps {
		all = append(all, p.Arch)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// execListed installs a package of the control plane and runs it.
func (m *manager) execListed(ctx context.Context, p control.Package) (execution, error) {
	what := newExecution(plugin.Plugin{Name: p.Name, Version: p.Version}, fromPlane)
	in, err := m.install(ctx, install.Request{
		Source: p.URL, Name: p.Name, Version: p.Version, SHA256: p.SHA256, MD5: p.MD5, Manifest: p.Manifest,
	}, listed(p))
	if err != nil {
		return what, err
	}
	defer in.release()
	return newExecution(in.plugin, fromPlane), m.execute(ctx, in)
}

// execFile installs a package file and runs it (CL-11).
func (m *manager) execFile(ctx context.Context) (execution, error) {
	in, err := m.install(ctx, install.Request{Source: m.o.file}, filed)
	if err != nil {
		return execution{plugin: in.plugin, resource: fromFile}, err
	}
	defer in.release()
	return newExecution(in.plugin, fromFile), m.execute(ctx, in)
}

// execute runs a plugin with the parameters of the command line. What was just
// installed is reported, and so is what a verb may have started or ended
// (CL-03, CL-07).
func (m *manager) execute(ctx context.Context, in installed) error {
	p := in.plugin
	fresh := in.release != nil
	r := m.run(ctx, p, in.timeout, "", in.previous)
	switch {
	case p.Type == plugin.Persist && (fresh || r.Started && slices.ContainsFunc(m.o.params, changes)):
		probe := m.ask(ctx, p)
		if probe.Status != plugin.StatusUnknown || in.tag != plugin.SysTagNone { // else nothing is known (EV-24)
			m.report(ctx, p, probe.Status, in.tag)
		}
	case p.Type == plugin.Once && fresh:
		m.report(ctx, p, plugin.StatusInstalled, in.tag)
	}
	return ended(p, r)
}

// changes reports whether a parameter is a verb that is more than a question.
func changes(param string) bool {
	switch plugin.Verb(param) {
	case plugin.VerbInstall, plugin.VerbUninstall, plugin.VerbStart, plugin.VerbStop, plugin.VerbUpgrade, plugin.VerbRestart:
		return true
	}
	return false
}
