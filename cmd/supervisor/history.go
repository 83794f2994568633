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

// readHistory returns the entries of the journal, oldest first: from the supervisor
// or, if it does not answer, from the files.
func readHistory(cmd *cobra.Command, cfg config.Config, f state.Filter) ([]plugin.Entry, error) {
	entries, err := admin.DialRoot(cfg.Root, cfg.SocketPath()).ReadEvents(cmd.Context(), f)
	if damage := (*state.SkippedError)(nil); err != nil && !errors.As(err, &damage) {
		fmt.Fprintf(cmd.ErrOrStderr(), "supervisor: %v\nsupervisor: reading the files of the journal instead\n", err)
		return readJournalFiles(cmd.ErrOrStderr(), cfg, f)
	}
	return entries, printDamage(cmd.ErrOrStderr(), err)
}

// readJournalFiles returns the entries in the files of the journal.
func readJournalFiles(stderr io.Writer, cfg config.Config, f state.Filter) ([]plugin.Entry, error) {
	entries, err := state.ReadJournal(layout.Supervisor(cfg.Root), f)
	return entries, printDamage(stderr, err)
}

// printDamage prints the error of damaged entries and returns nil for it: the other
// entries are good.
func printDamage(stderr io.Writer, err error) error {
	if damage := (*state.SkippedError)(nil); errors.As(err, &damage) {
		fmt.Fprintln(stderr, "supervisor:", damage)
		return nil
	}
	return err
}

// listNames returns the names of the installed plugins.
func listNames(ctx context.Context, cfg config.Config) ([]string, error) {
	list, err := listInstalled(ctx, cfg)
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

// checkInstalled returns an error with exitNone unless the plugin is installed.
func checkInstalled(ctx context.Context, cfg config.Config, name string) error {
	known, err := listNames(ctx, cfg)
	if err == nil && !slices.Contains(known, name) {
		err = noPluginError(name)
	}
	return err
}

// noPluginError returns the error of a missing plugin, with exitNone.
func noPluginError(name string) error {
	return withExitCode(exitNone, fmt.Errorf("%w: %s", plugin.ErrNoPlugin, name))
}

// acceptOnePlugin makes a command accept one plugin name, which the shell completes.
func acceptOnePlugin(cmd *cobra.Command, settings *settings) {
	cmd.Args = checkArguments(cobra.ExactArgs(1))
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return completeNames(cmd, settings), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeNames returns the plugin names for shell completion, none on an error.
func completeNames(cmd *cobra.Command, settings *settings) []string {
	cfg, _, err := settings.loadConfig(cmd)
	if err != nil {
		return nil
	}
	found, err := listNames(cmd.Context(), cfg)
	if err != nil {
		return nil
	}
	return found
}
