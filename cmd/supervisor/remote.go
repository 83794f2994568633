package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"pluginsupervisor/cmd/supervisor/internal/view"
	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/control"
	"pluginsupervisor/plugin"
)

// remoteList is the JSON output of list --remote.
type remoteList struct {
	Packages []view.Available `json:"packages"`
}

// listRemote prints the packages that the control plane has for this host, with an
// empty name those of all plugins.
func listRemote(cmd *cobra.Command, cfg config.Config, name string, as format) error {
	if name != "" {
		if err := checkName(name); err != nil {
			return err
		}
	}
	found, err := askControlPlane(cmd, cfg, func(ctx context.Context, client *control.Client) ([]control.Package, error) {
		return client.ListPackages(ctx, name, "")
	})
	if err != nil {
		return err
	}
	here, err := listInstalled(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	all := remoteList{Packages: make([]view.Available, 0, len(found))}
	for _, p := range found {
		all.Packages = append(all.Packages, view.Available{
			Name: p.Name, Version: p.Version, Installed: findVersion(here, p.Name) == p.Version,
			OS: p.OSType, Arch: p.Arch, MD5: p.MD5, SHA256: p.SHA256, Signed: p.Manifest != "", URL: p.URL,
		})
	}
	slices.SortStableFunc(all.Packages, func(a, b view.Available) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), plugin.CompareVersions(b.Version, a.Version), cmp.Compare(a.OS, b.OS), cmp.Compare(a.Arch, b.Arch))
	})
	out := cmd.OutOrStdout()
	switch {
	case as == asJSON:
		err = writeJSON(out, all)
	case name == "" || len(found) > 0:
		err = view.WritePackages(out, all.Packages, view.PaintFor(out))
	}
	if err == nil && name != "" && len(found) == 0 {
		err = withExitCode(exitNone, fmt.Errorf("%s: %w", name, control.ErrNotListed))
	}
	return err
}

// findVersion returns the installed version of a plugin, "" for none.
func findVersion(l admin.List, name string) string {
	i := slices.IndexFunc(l.Plugins, func(p admin.Installed) bool { return p.Name == name && !p.Duplicate && p.State != plugin.StateRemoved })
	if i < 0 {
		return ""
	}
	return l.Plugins[i].Version
}

// upToDateError says that no newer version is available.
type upToDateError struct{ text string }

func (e upToDateError) Error() string { return e.text }

// requestNewest returns the request for the newest version of the control plane. It
// returns an upToDateError if that is not newer than the installed one: a command
// without a version never downgrades. With mustExist, the plugin must be installed.
func requestNewest(cmd *cobra.Command, cfg config.Config, name string, mustExist bool) (request, error) {
	if err := checkName(name); err != nil {
		return request{}, err
	}
	list, err := listInstalled(cmd.Context(), cfg)
	if err != nil {
		return request{}, err
	}
	here := findVersion(list, name)
	if here == "" && mustExist {
		return request{}, noPluginError(name)
	}
	newest, err := askControlPlane(cmd, cfg, func(ctx context.Context, client *control.Client) (control.Package, error) {
		return client.NewestPackage(ctx, name)
	})
	switch {
	case errors.Is(err, control.ErrNotListed):
		return request{}, withExitCode(exitNone, err)
	case err != nil:
		return request{}, err
	case here == newest.Version:
		return request{}, upToDateError{fmt.Sprintf("%s: the newest version, %s, is installed", name, here)}
	case here != "" && plugin.CompareVersions(newest.Version, here) <= 0:
		return request{}, upToDateError{fmt.Sprintf("%s: %s is installed; the newest version of the control plane is %s", name, here, newest.Version)}
	}
	return request{change: plugin.Change{Name: name, Version: newest.Version, Origin: plugin.FromOperator}}, nil
}
