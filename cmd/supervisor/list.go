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
		Short: "List the installed plugins, or what the control plane has for this host",
		Long: `List the installed plugins, with or without a supervisor running.

With --remote it lists the packages that the control plane has for this host, the
newest version of each plugin first; of one plugin, if a NAME is given. It exits 4
then when there is none.`,
		Args: checkArguments(func(cmd *cobra.Command, args []string) error {
			if remote {
				return cobra.MaximumNArgs(1)(cmd, args)
			}
			return cobra.NoArgs(cmd, args)
		}),
	}
	output := addOutput(cmd)
	settings := addSettings(cmd, "root", "admin.socket", controlPlaneKey)
	cmd.Flags().BoolVar(&remote, "remote", false, "list what the control plane has")
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
			fmt.Fprintln(cmd.ErrOrStderr(), "supervisor: no supervisor is running; this is what the plugin database says")
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

// listInstalled is what is installed: as the supervisor tells it, or, when it does
// not answer, as the plugin database does.
func listInstalled(ctx context.Context, cfg config.Config) (admin.List, error) {
	list, err := admin.DialRoot(cfg.Root, cfg.SocketPath()).ListPlugins(ctx)
	if err != nil {
		return listRecorded(ctx, cfg)
	}
	return list, nil
}

// listRecorded is what the plugin database lists. Where there is no installation at
// all, none is begun.
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
