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

// available is the answer of `list --remote`, for programs.
type available struct {
	Packages []view.Available `json:"packages"`
}

// listRemote shows what the control plane has for this host; name "" is any.
func listRemote(cmd *cobra.Command, cfg config.Config, name string, as format) error {
	if name != "" {
		if err := checkName(name); err != nil {
			return err
		}
	}
	found, err := askPlane(cmd, cfg, func(ctx context.Context, plane *control.Client) ([]control.Package, error) {
		return plane.ListPackages(ctx, name, "")
	})
	if err != nil {
		return err
	}
	here, err := installed(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	all := available{Packages: make([]view.Available, 0, len(found))}
	for _, p := range found {
		all.Packages = append(all.Packages, view.Available{
			Name: p.Name, Version: p.Version, Installed: versionOf(here, p.Name) == p.Version,
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
		err = view.Packages(out, all.Packages, view.PaintFor(out))
	}
	if err == nil && name != "" && len(found) == 0 {
		err = exit(exitNone, fmt.Errorf("%s: %w", name, control.ErrNotListed))
	}
	return err
}

// versionOf is the version of a plugin that is installed, "" if none is.
func versionOf(l admin.List, name string) string {
	i := slices.IndexFunc(l.Plugins, func(p admin.Installed) bool { return p.Name == name && !p.Duplicate && p.State != plugin.StateRemoved })
	if i < 0 {
		return ""
	}
	return l.Plugins[i].Version
}

// errNewest says that there is nothing to do.
type errNewest struct{ text string }

func (e errNewest) Error() string { return e.text }

// newestWish is an operator's wish for the newest version of a plugin that
// the control plane has. It is errNewest when nothing newer than the installed
// one is there: nobody who names no version wants an older one. The plugin has
// to be on the host if mustBe.
func newestWish(cmd *cobra.Command, cfg config.Config, name string, mustBe bool) (wish, error) {
	if err := checkName(name); err != nil {
		return wish{}, err
	}
	list, err := installed(cmd.Context(), cfg)
	if err != nil {
		return wish{}, err
	}
	here := versionOf(list, name)
	if here == "" && mustBe {
		return wish{}, noPlugin(name)
	}
	newest, err := askPlane(cmd, cfg, func(ctx context.Context, plane *control.Client) (control.Package, error) {
		return plane.NewestPackage(ctx, name)
	})
	switch {
	case errors.Is(err, control.ErrNotListed):
		return wish{}, exit(exitNone, err)
	case err != nil:
		return wish{}, err
	case here == newest.Version:
		return wish{}, errNewest{fmt.Sprintf("%s: %s is the newest there is, and installed", name, here)}
	case here != "" && plugin.CompareVersions(newest.Version, here) <= 0:
		return wish{}, errNewest{fmt.Sprintf("%s: %s is installed, the control plane has nothing newer than %s", name, here, newest.Version)}
	}
	return wish{offer: plugin.Change{Name: name, Version: newest.Version, Origin: plugin.FromOperator}}, nil
}
