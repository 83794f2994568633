package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"pluginsupervisor/cmd/supervisor/internal/view"
	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

func listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the installed plugins, with or without a supervisor running",
		Args:  arguments(cobra.NoArgs),
	}
	output := addOutput(cmd)
	settings := addPlace(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, _, err := settings.load(cmd)
		if err != nil {
			return err
		}
		list, err := admin.Dial(cfg.SocketPath()).Plugins(cmd.Context())
		if errors.Is(err, admin.ErrNoSupervisor) {
			fmt.Fprintln(cmd.ErrOrStderr(), "supervisor: no supervisor is running; this is what the plugin database says")
			list, err = recorded(cmd.Context(), cfg)
		}
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if *output == asJSON {
			return writeJSON(out, list)
		}
		return view.List(out, list, view.PaintFor(out))
	}
	return cmd
}

// recorded is what the plugin database lists. Where there is no installation at
// all, none is begun.
func recorded(ctx context.Context, cfg config.Config) (admin.List, error) {
	if _, err := os.Stat(filepath.Join(cfg.Root, "plugin")); errors.Is(err, fs.ErrNotExist) {
		return admin.List{Plugins: []admin.Installed{}}, nil
	}
	installed, err := registry.New(registry.Options{Root: cfg.Root}).List(ctx)
	if err != nil {
		return admin.List{}, err
	}
	list := admin.List{Plugins: make([]admin.Installed, 0, len(installed.Plugins)), Damaged: installed.Damaged}
	for _, p := range installed.Plugins {
		if p.Removed {
			continue
		}
		list.Plugins = append(list.Plugins, admin.Installed{
			Name: p.Name, Version: p.Version, Type: p.Type, State: plugin.StateInstalled, Duplicate: p.Duplicate,
		})
	}
	return list, nil
}
