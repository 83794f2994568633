package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"pluginsupervisor/cmd/supervisor/internal/view"
	"pluginsupervisor/internal/admin"
	"pluginsupervisor/plugin"
)

func newStatusCommand() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "status [NAME…]",
		Short: "Show every plugin, why, and what comes next",
		Long: `Show every plugin, why it is in its state, and what comes next. Lines below the
table show pending reports, problems, and packages that are fetched, unverified or
blocked.

Exit status: 0 when all is well, 3 when a plugin does not run as it should, 4 for
no such plugin or no supervisor.`,
	}
	output := addOutput(cmd)
	settings := addRootSettings(cmd)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "also show the supervisor and its timers")
	cmd.ValidArgsFunction = func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return completeNames(cmd, settings), cobra.ShellCompDirectiveNoFileComp
	}
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		cfg, _, err := settings.loadConfig(cmd)
		if err != nil {
			return err
		}
		snapshot, err := admin.DialRoot(cfg.Root, cfg.SocketPath()).Status(cmd.Context())
		if errors.Is(err, admin.ErrNoSupervisor) {
			return withExitCode(exitNone, err)
		}
		if err != nil {
			return err
		}
		missing := selectPlugins(&snapshot, names)
		out := cmd.OutOrStdout()
		if *output == asJSON {
			err = writeJSON(out, snapshot)
		} else if len(snapshot.Plugins) > 0 || len(names) == 0 {
			err = view.WriteStatus(out, snapshot, view.StatusOptions{Paint: view.PaintFor(out), Verbose: verbose})
		}
		switch {
		case err != nil:
			return err
		case missing != nil:
			return withExitCode(exitNone, missing)
		case slices.ContainsFunc(snapshot.Plugins, func(v plugin.View) bool { return !v.IsHealthy() }):
			return withExitCode(exitNotRunning, nil)
		}
		return nil
	}
	return cmd
}

// selectPlugins removes all but the named plugins, none if there are no names. The
// error has the names that no plugin has.
func selectPlugins(s *plugin.Snapshot, names []string) (missing error) {
	if len(names) == 0 {
		return nil
	}
	for _, name := range names {
		if !slices.ContainsFunc(s.Plugins, func(v plugin.View) bool { return v.Name == name }) {
			missing = errors.Join(missing, fmt.Errorf("no such plugin: %s", name))
		}
	}
	s.Plugins = slices.DeleteFunc(s.Plugins, func(v plugin.View) bool { return !slices.Contains(names, v.Name) })
	s.Blocked = slices.DeleteFunc(s.Blocked, func(b plugin.Blocked) bool { return !slices.Contains(names, b.Name) })
	return missing
}
