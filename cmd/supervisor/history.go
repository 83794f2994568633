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

// readHistory is what the journal holds, the oldest first: as the supervisor tells
// it, or, when it does not answer, as its files do.
func readHistory(cmd *cobra.Command, cfg config.Config, f state.Filter) ([]plugin.Entry, error) {
	entries, err := admin.DialRoot(cfg.Root, cfg.SocketPath()).ReadEvents(cmd.Context(), f)
	if damage := (*state.SkippedError)(nil); err != nil && !errors.As(err, &damage) {
		fmt.Fprintf(cmd.ErrOrStderr(), "supervisor: %v\nsupervisor: reading the journal's files instead\n", err)
		return readJournalFiles(cmd.ErrOrStderr(), cfg, f)
	}
	return entries, printDamage(cmd.ErrOrStderr(), err)
}

// readJournalFiles is what the journal's files hold.
func readJournalFiles(stderr io.Writer, cfg config.Config, f state.Filter) ([]plugin.Entry, error) {
	entries, err := state.ReadJournal(layout.Supervisor(cfg.Root), f)
	return entries, printDamage(stderr, err)
}

// printDamage says that there is damage, and makes it no error: what could be read
// is good.
func printDamage(stderr io.Writer, err error) error {
	if damage := (*state.SkippedError)(nil); errors.As(err, &damage) {
		fmt.Fprintln(stderr, "supervisor:", damage)
		return nil
	}
	return err
}

// listNames are those of the installed plugins.
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

// checkInstalled is an error that ends the program with exitNone unless the plugin
// is installed.
func checkInstalled(ctx context.Context, cfg config.Config, name string) error {
	known, err := listNames(ctx, cfg)
	if err == nil && !slices.Contains(known, name) {
		err = noPluginError(name)
	}
	return err
}

// noPluginError ends the program with exitNone.
func noPluginError(name string) error {
	return withExitCode(exitNone, fmt.Errorf("%w: %s", plugin.ErrNoPlugin, name))
}

// acceptOnePlugin makes a command take one plugin's name, which the shell completes.
func acceptOnePlugin(cmd *cobra.Command, settings *settings) {
	cmd.Args = checkArguments(cobra.ExactArgs(1))
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return completeNames(cmd, settings), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeNames are what the shell completes a plugin's name with; none when
// nothing can be known.
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
