package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"text/tabwriter"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/plugin"
)

// printList prints a table of the packages that the control plane has for this host,
// or with --local of the installed plugins.
func (m *manager) printList(ctx context.Context) error {
	w := tabwriter.NewWriter(m.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "Name\tVersion\tPublisher\tOsType\tArch\tPluginType\t\n")
	line := func(name, version, publisher, os, arch string, t plugin.Type) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t\n", name, version, publisher, os, arch, t)
	}
	if m.o.local {
		if err := checkInstallation(m.cfg); err != nil {
			return err
		}
		all, err := m.readRecords(ctx)
		if err != nil {
			return err
		}
		for _, p := range all {
			if !p.Removed && (m.o.plugin == "" || m.o.plugin == p.Name) {
				line(p.Name, p.Version, p.Publisher, p.OS, p.Arch, p.Type)
			}
		}
	} else {
		all, err := m.queryPackages(ctx, control.PackageQuery{PluginName: m.o.plugin, Arch: platform.LocalArch()})
		if err != nil {
			return err
		}
		for _, p := range all {
			if m.plane.FitsThisHost(p) {
				line(p.Name, p.Version, p.Publisher, p.OSType, p.Arch, p.Type)
			}
		}
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// queryPackages returns the packages that the control plane lists.
func (m *manager) queryPackages(ctx context.Context, q control.PackageQuery) ([]control.Package, error) {
	all, err := m.plane.QueryPackages(ctx, q)
	if err != nil {
		return nil, failWith(exitList, "%w", err)
	}
	return all, nil
}

// readRecords returns the plugins of the database and prints a line for each damaged
// record.
func (m *manager) readRecords(ctx context.Context) ([]plugin.Plugin, error) {
	l, err := m.registry.List(ctx)
	if err != nil {
		return nil, failWith(exitDatabaseRead, "read plugin database: %w", err)
	}
	for _, d := range l.Damaged {
		m.printLine("skipped a damaged record of the plugin database: %+v", d)
	}
	return l.Plugins, nil
}

// statusLine is one plugin in the output of --status.
type statusLine struct {
	Name    string `json:"name"`
	Status  string `json:"status"`
	Version string `json:"version"`
}

// printStatus prints the status of the persistent plugins in the order of the records
// (CL-01). Removed ones are not run, and the others are probed at the same time, so
// that one that hangs does not delay them (CL-18).
func (m *manager) printStatus(ctx context.Context) error {
	if err := checkInstallation(m.cfg); err != nil {
		return err
	}
	all, err := m.readRecords(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(p plugin.Plugin) bool { return p.Type != plugin.Persist })
	words := map[uint64]string{}
	var probed []plugin.Plugin
	for _, p := range all {
		words[p.ID] = control.StatusRemoved
		if p.IsProbed() {
			probed = append(probed, p)
		}
	}
	err = m.newNative(statusRunner{m.runner, statusLimit}, nil).Probe(ctx, probed, func(probe plugin.Probe) {
		words[probe.Plugin.ID] = control.StatusWord(probe.Status)
		if probe.Cause != "" {
			m.printLine("status of %s: %s", probe.Plugin.Name, probe.Cause)
		}
	})
	if err != nil {
		return fmt.Errorf("probe plugins: %w", err)
	}
	lines := []statusLine{}
	for _, p := range all {
		lines = append(lines, statusLine{Name: p.Name, Status: words[p.ID], Version: p.Version})
	}
	out := json.NewEncoder(m.stdout)
	out.SetIndent("", "    ")
	if err := out.Encode(lines); err != nil {
		return fmt.Errorf("print status: %w", err)
	}
	fmt.Fprintln(m.stdout)
	return nil
}
