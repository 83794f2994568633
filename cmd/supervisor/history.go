package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/state"
	"pluginsupervisor/plugin"
)

// history is what the journal holds, the oldest first: as the supervisor tells
// it, or, when it does not answer, as its files do.
func history(cmd *cobra.Command, cfg config.Config, f state.Filter) ([]plugin.Entry, error) {
	entries, err := admin.DialRoot(cfg.Root, cfg.SocketPath()).ReadEvents(cmd.Context(), f)
	if damage := (*state.SkippedError)(nil); err != nil && !errors.As(err, &damage) {
		fmt.Fprintf(cmd.ErrOrStderr(), "supervisor: %v\nsupervisor: reading the journal's files instead\n", err)
		return written(cmd.ErrOrStderr(), cfg, f)
	}
	return entries, damaged(cmd.ErrOrStderr(), err)
}

// written is what the journal's files hold.
func written(stderr io.Writer, cfg config.Config, f state.Filter) ([]plugin.Entry, error) {
	entries, err := state.ReadJournal(layout.Supervisor(cfg.Root), f)
	return entries, damaged(stderr, err)
}

// damaged says that there is damage, and makes it no error: what could be read
// is good.
func damaged(stderr io.Writer, err error) error {
	if damage := (*state.SkippedError)(nil); errors.As(err, &damage) {
		fmt.Fprintln(stderr, "supervisor:", damage)
		return nil
	}
	return err
}

// names are those of the installed plugins.
func names(ctx context.Context, cfg config.Config) ([]string, error) {
	list, err := installed(ctx, cfg)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range list.Plugins {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names, nil
}

// mustExist is an error that ends the program with exitNone unless the plugin
// is installed.
func mustExist(ctx context.Context, cfg config.Config, name string) error {
	known, err := names(ctx, cfg)
	if err == nil && !slices.Contains(known, name) {
		err = noPlugin(name)
	}
	return err
}

// noPlugin ends the program with exitNone.
func noPlugin(name string) error {
	return exit(exitNone, fmt.Errorf("%w: %s", plugin.ErrNoPlugin, name))
}

// onePlugin makes a command take one plugin's name, which the shell completes.
func onePlugin(cmd *cobra.Command, settings *settings) {
	cmd.Args = arguments(cobra.ExactArgs(1))
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return installedNames(cmd, settings), cobra.ShellCompDirectiveNoFileComp
	}
}

// installedNames are what the shell completes a plugin's name with; none when
// nothing can be known.
func installedNames(cmd *cobra.Command, settings *settings) []string {
	cfg, _, err := settings.load(cmd)
	if err != nil {
		return nil
	}
	found, err := names(cmd.Context(), cfg)
	if err != nil {
		return nil
	}
	return found
}
