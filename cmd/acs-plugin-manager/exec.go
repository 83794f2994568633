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

// execution holds the plugin of an event, its type if known, and its source.
type execution struct {
	plugin   plugin.Plugin
	kind     string
	resource string
}

func newExecution(p plugin.Plugin, resource string) execution {
	return execution{p, p.Type.String(), resource}
}

// Sources of a plugin in an event.
const (
	resourceFile      = "LocalFile"
	resourceInstalled = "LocalInstalled"
	resourceOnline    = "Online"
)

// execPlugin runs an installed plugin, one that the control plane lists, or one from
// a package file, and sends an event to the control plane (CL-02).
func (m *manager) execPlugin(ctx context.Context) error {
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

// execInstalled runs an installed plugin, of any version if none is given. It holds
// the name lock shared: no process replaces or removes the plugin meanwhile.
func (m *manager) execInstalled(ctx context.Context, name, version string) (execution, error) {
	what := newExecution(plugin.Plugin{Name: name, Version: version}, "")
	if err := plugin.CheckName(name); err != nil {
		return what, failWith(exitNotFound, "plugin %q: %w", name, err)
	}
	release, err := m.acquireLock(ctx, lock.Shared, layout.NameLock(m.cfg.Root, name))
	if err != nil {
		return what, err
	}
	defer release()
	r, ok, err := m.registry.Find(ctx, name)
	if err != nil {
		return what, failWith(exitDatabaseRead, "read plugin database: %w", err)
	}
	if !ok || version != "" && version != r.Version {
		return what, failWith(exitNotFound, "could not find local package [%s] version [%s]", name, version)
	}
	what = newExecution(r.Plugin(), resourceInstalled)
	return what, m.runAndReport(ctx, installed{plugin: what.plugin, timeout: r.Timeout})
}

// execOnline runs the version that the control plane lists and installs it first if
// needed. It runs the installed version when none is listed, or the list cannot be
// read (CL-07, CL-08, CL-09).
func (m *manager) execOnline(ctx context.Context) (execution, error) {
	name, version := m.o.plugin, m.o.pluginVersion
	what := newExecution(plugin.Plugin{Name: name, Version: version}, "")
	if err := plugin.CheckName(name); err != nil {
		return what, failWith(exitNotFound, "plugin %q: %w", name, err)
	}
	all, failed := m.queryPackages(ctx, control.PackageQuery{PluginName: name, Version: version})
	local, here, err := m.registry.Find(ctx, name)
	if err != nil {
		return what, failWith(exitDatabaseRead, "read plugin database: %w", err)
	}
	here = here && (version == "" || version == local.Version)
	if failed != nil {
		if !here {
			return what, failed
		}
		m.printLine("%v; running the installed %s %s", failed, name, local.Version)
		return m.execInstalled(ctx, name, version)
	}
	switch newest, found := m.selectNewest(all); {
	case found && (!here || newest.Version != local.Version):
		return m.execListed(ctx, newest)
	case here:
		return m.execInstalled(ctx, name, version)
	case len(all) > 0:
		return what, failWith(exitNotFound, "could not find local package [%s] version [%s]; the control plane has it for arch %v, this host is %s",
			name, version, listArches(all), platform.LocalArch())
	}
	return what, failWith(exitNotFound, "could not find package [%s] version [%s]: it is neither installed nor listed by the control plane", name, version)
}

// selectNewest returns the package with the highest version for this host (CL-07).
func (m *manager) selectNewest(all []control.Package) (newest control.Package, found bool) {
	for _, p := range all {
		if m.plane.FitsThisHost(p) && (!found || plugin.CompareVersions(p.Version, newest.Version) > 0) {
			newest, found = p, true
		}
	}
	return newest, found
}

// listArches returns the architectures of packages, each once.
func listArches(ps []control.Package) []string {
	var all []string
	for _, p := range ps {
		all = append(all, p.Arch)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// execListed installs a package of the control plane and runs it.
func (m *manager) execListed(ctx context.Context, p control.Package) (execution, error) {
	what := newExecution(plugin.Plugin{Name: p.Name, Version: p.Version}, resourceOnline)
	in, err := m.installPackage(ctx, install.Request{
		Source: p.URL, Name: p.Name, Version: p.Version, SHA256: p.SHA256, MD5: p.MD5, Manifest: p.Manifest,
	}, recordListed(p))
	if err != nil {
		return what, err
	}
	defer in.release()
	return newExecution(in.plugin, resourceOnline), m.runAndReport(ctx, in)
}

// execFile installs a package file and runs it (CL-11).
func (m *manager) execFile(ctx context.Context) (execution, error) {
	in, err := m.installPackage(ctx, install.Request{Source: m.o.file}, recordFile)
	if err != nil {
		return execution{plugin: in.plugin, resource: resourceFile}, err
	}
	defer in.release()
	return newExecution(in.plugin, resourceFile), m.runAndReport(ctx, in)
}

// runAndReport runs a plugin with the parameters of the command line. It reports the
// status of a plugin that was just installed, or that a verb may have started or stopped
// (CL-03, CL-07).
func (m *manager) runAndReport(ctx context.Context, in installed) error {
	p := in.plugin
	fresh := in.release != nil
	r := m.runPlugin(ctx, p, in.timeout, "", in.previous)
	switch {
	case p.Type == plugin.Persist && (fresh || r.Started && slices.ContainsFunc(m.o.params, isChangingVerb)):
		probe := m.probeStatus(ctx, p)
		if probe.Status != plugin.StatusUnknown || in.tag != plugin.SysTagNone { // unknown statuses are not reported (EV-24)
			m.sendReport(ctx, p, probe.Status, in.tag)
		}
	case p.Type == plugin.Once && fresh:
		m.sendReport(ctx, p, plugin.StatusInstalled, in.tag)
	}
	return resultError(p, r)
}

// isChangingVerb reports whether a parameter is a verb that may change the status.
func isChangingVerb(param string) bool {
	switch plugin.Verb(param) {
	case plugin.VerbInstall, plugin.VerbUninstall, plugin.VerbStart, plugin.VerbStop, plugin.VerbUpgrade, plugin.VerbRestart:
		return true
	}
	return false
}
