package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/internal/verb"
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
		all, err := m.listed(ctx, control.PackageQuery{PluginName: m.o.plugin, Version: m.o.pluginVersion, Arch: platform.LocalArch()})
		if err != nil {
			return err
		}
		for _, p := range all {
			if m.plane.Suits(p) {
				line(p.Name, p.Version, p.Publisher, p.OSType, p.Arch, p.Type)
			}
		}
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// listed asks the control plane for packages.
func (m *manager) listed(ctx context.Context, q control.PackageQuery) ([]control.Package, error) {
	all, err := m.plane.Listed(ctx, q)
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
		fmt.Fprintf(m.stderr, "acs-plugin-manager: left out of the plugin database: %+v\n", d)
	}
	return l.Plugins, nil
}

// statusLine is what --status says of one plugin.
type statusLine struct {
	Name    string `json:"name"`
	Status  string `json:"status"`
	Version string `json:"version"`
}

// status prints how the persistent plugins are, in the order of the records
// (CL-01). A removed one is told without running anything.
func (m *manager) status(ctx context.Context) error {
	all, err := m.records(ctx)
	if err != nil {
		return err
	}
	lines := []statusLine{}
	for _, p := range all {
		if p.Type != plugin.Persist {
			continue
		}
		word := control.WordRemoved
		if !p.Removed {
			r := m.command(ctx, p, "", "", string(plugin.VerbStatus))
			word = control.Word(verb.Probe(p, time.Now(), r).Status)
			if r.Err != nil && (!r.Started || r.TimedOut) {
				fmt.Fprintf(m.stderr, "acs-plugin-manager: status of %s within %s: %v\n", p.Name, verb.Deadline(p), r.Err)
			}
		}
		lines = append(lines, statusLine{Name: p.Name, Status: word, Version: p.Version})
	}
	if ctx.Err() != nil {
		return fail(exitNotRun, "status: %w", context.Cause(ctx))
	}
	out := json.NewEncoder(m.stdout)
	out.SetIndent("", "    ")
	if err := out.Encode(lines); err != nil {
		return fmt.Errorf("print status: %w", err)
	}
	fmt.Fprintln(m.stdout)
	return nil
}
