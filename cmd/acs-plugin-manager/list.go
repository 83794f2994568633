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

// list prints a table of what the control plane has for this host, or with
// --local of what is installed.
func (m *manager) list(ctx context.Context) error {
	w := tabwriter.NewWriter(m.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "Name\tVersion\tPublisher\tOsType\tArch\tPluginType\t\n")
	line := func(name, version, publisher, os, arch string, t plugin.Type) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t\n", name, version, publisher, os, arch, t)
	}
	if m.o.local {
		if err := mustExist(m.cfg); err != nil {
			return err
		}
		all, err := m.records(ctx)
		if err != nil {
			return err
		}
		for _, p := range all {
			if !p.Removed && (m.o.plugin == "" || m.o.plugin == p.Name) {
				line(p.Name, p.Version, p.Publisher, p.OS, p.Arch, p.Type)
			}
		}
	} else {
		all, err := m.listed(ctx, control.PackageQuery{PluginName: m.o.plugin, Arch: platform.LocalArch()})
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

// listed asks the control plane for packages.
func (m *manager) listed(ctx context.Context, q control.PackageQuery) ([]control.Package, error) {
	all, err := m.plane.QueryPackages(ctx, q)
	if err != nil {
		return nil, fail(exitList, "%w", err)
	}
	return all, nil
}

// records are the database's, the damaged ones told on stderr.
func (m *manager) records(ctx context.Context) ([]plugin.Plugin, error) {
	l, err := m.registry.List(ctx)
	if err != nil {
		return nil, fail(exitDatabaseRead, "read plugin database: %w", err)
	}
	for _, d := range l.Damaged {
		m.say("left out of the plugin database: %+v", d)
	}
	return l.Plugins, nil
}

// statusLine is what --status says of one plugin.
type statusLine struct {
	Name    string `json:"name"`
	Status  string `json:"status"`
	Version string `json:"version"`
}

// status prints the status of the persistent plugins, in the order of the records
// (CL-01). A removed one is reported without running anything, and one that hangs
// does not delay the others for longer than it takes (CL-18).
func (m *manager) status(ctx context.Context) error {
	if err := mustExist(m.cfg); err != nil {
		return err
	}
	all, err := m.records(ctx)
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
	err = m.native(asker{m.runner, statusLimit}, nil).Probe(ctx, probed, func(probe plugin.Probe) {
		words[probe.Plugin.ID] = control.StatusWord(probe.Status)
		if probe.Cause != "" {
			m.say("status of %s: %s", probe.Plugin.Name, probe.Cause)
		}
	})
	if err != nil {
		return fmt.Errorf("ask for the status: %w", err)
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
