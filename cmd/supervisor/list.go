package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"pluginsupervisor/cmd/supervisor/internal/view"
	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

func newListCommand() *cobra.Command {
	var remote bool
	cmd := &cobra.Command{
		Use:   "list [--remote [NAME]]",
		Short: "List installed plugins, or with --remote available ones",
		Long: `List the installed plugins. Without a supervisor the plugin database is read.

With --remote, list the packages that the control plane has for this host, newest
version first, or only those of the plugin NAME. Exit status: 4 if there are none
of NAME.`,
		Args: checkArguments(func(cmd *cobra.Command, args []string) error {
			if remote {
				return cobra.MaximumNArgs(1)(cmd, args)
			}
			return cobra.NoArgs(cmd, args)
		}),
	}
	output := addOutput(cmd)
	settings := addSettings(cmd, "root", "admin.socket", controlPlaneKey)
	cmd.Flags().BoolVar(&remote, "remote", false, "list available plugins: packages of the control plane")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, _, err := settings.loadConfig(cmd)
		if err != nil {
			return err
		}
		if remote {
			return listRemote(cmd, cfg, strings.Join(args, ""), *output)
		}
		list, err := admin.DialRoot(cfg.Root, cfg.SocketPath()).ListPlugins(cmd.Context())
		if errors.Is(err, admin.ErrNoSupervisor) {
			fmt.Fprintln(cmd.ErrOrStderr(), "supervisor: no supervisor is running; the list comes from the plugin database")
			list, err = listRecorded(cmd.Context(), cfg)
		}
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if *output == asJSON {
			return writeJSON(out, list)
		}
		return view.WriteList(out, list, view.PaintFor(out))
	}
	return cmd
}

// listInstalled returns the installed plugins: from the supervisor or, if it does
// not answer, from the plugin database.
func listInstalled(ctx context.Context, cfg config.Config) (admin.List, error) {
	list, err := admin.DialRoot(cfg.Root, cfg.SocketPath()).ListPlugins(ctx)
	if err != nil {
		return listRecorded(ctx, cfg)
	}
	return list, nil
}

// listRecorded returns the plugins of the plugin database. It creates nothing if
// there is no installation.
func listRecorded(ctx context.Context, cfg config.Config) (admin.List, error) {
	if _, err := os.Stat(layout.Plugins(cfg.Root)); errors.Is(err, fs.ErrNotExist) {
		return admin.List{Plugins: []admin.Installed{}}, nil
	}
	records, err := registry.New(registry.Options{Root: cfg.Root}).List(ctx)
	if err != nil {
		return admin.List{}, err
	}
	list := admin.List{Plugins: make([]admin.Installed, 0, len(records.Plugins)), Damaged: records.Damaged}
	for _, p := range records.Plugins {
		if p.Removed {
			continue
		}
		list.Plugins = append(list.Plugins, admin.Installed{
			Name: p.Name, Version: p.Version, Type: p.Type, State: plugin.StateInstalled, Duplicate: p.Duplicate,
		})
	}
	return list, nil
}
