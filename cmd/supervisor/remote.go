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

// remoteList is the answer of `list --remote`, for programs.
type remoteList struct {
	Packages []view.Available `json:"packages"`
}

// listRemote shows what the control plane has for this host; name "" is any.
func listRemote(cmd *cobra.Command, cfg config.Config, name string, as format) error {
	if name != "" {
		if err := checkName(name); err != nil {
			return err
		}
	}
	found, err := askControlPlane(cmd, cfg, func(ctx context.Context, plane *control.Client) ([]control.Package, error) {
		return plane.ListPackages(ctx, name, "")
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

// findVersion is the version of a plugin that is installed, "" if none is.
func findVersion(l admin.List, name string) string {
	i := slices.IndexFunc(l.Plugins, func(p admin.Installed) bool { return p.Name == name && !p.Duplicate && p.State != plugin.StateRemoved })
	if i < 0 {
		return ""
	}
	return l.Plugins[i].Version
}

// upToDateError says that there is nothing to do.
type upToDateError struct{ text string }

func (e upToDateError) Error() string { return e.text }

// requestNewest is an operator's wish for the newest version of a plugin that
// the control plane has. It is errNewest when nothing newer than the installed
// one is there: nobody who names no version wants an older one. The plugin has
// to be on the host if mustBe.
func requestNewest(cmd *cobra.Command, cfg config.Config, name string, mustBe bool) (request, error) {
	if err := checkName(name); err != nil {
		return request{}, err
	}
	list, err := listInstalled(cmd.Context(), cfg)
	if err != nil {
		return request{}, err
	}
	here := findVersion(list, name)
	if here == "" && mustBe {
		return request{}, noPluginError(name)
	}
	newest, err := askControlPlane(cmd, cfg, func(ctx context.Context, plane *control.Client) (control.Package, error) {
		return plane.NewestPackage(ctx, name)
	})
	switch {
	case errors.Is(err, control.ErrNotListed):
		return request{}, withExitCode(exitNone, err)
	case err != nil:
		return request{}, err
	case here == newest.Version:
		return request{}, upToDateError{fmt.Sprintf("%s: %s is the newest there is, and installed", name, here)}
	case here != "" && plugin.CompareVersions(newest.Version, here) <= 0:
		return request{}, upToDateError{fmt.Sprintf("%s: %s is installed, the control plane has nothing newer than %s", name, here, newest.Version)}
	}
	return request{change: plugin.Change{Name: name, Version: newest.Version, Origin: plugin.FromOperator}}, nil
}
