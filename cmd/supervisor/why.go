package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"pluginsupervisor/cmd/supervisor/internal/view"
	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/state"
	"pluginsupervisor/plugin"
)

// whyResult is the JSON output of why.
type whyResult struct {
	Plugin  *plugin.View   `json:"plugin,omitempty"` // nil without a supervisor
	Entries []plugin.Entry `json:"entries"`          // newest first
}

func newWhyCommand() *cobra.Command {
	var limit, lines int
	cmd := &cobra.Command{
		Use:   "why NAME",
		Short: "Show what happened to a plugin, newest first",
		Long: `Show what happened to a plugin, newest first: when, what, why, what was decided and
what comes next. Below an exit are the last lines that the plugin printed. Without
a supervisor the files of the journal are read.

Exit status: 4 for no such plugin.`,
	}
	output := addOutput(cmd)
	settings := addRootSettings(cmd)
	acceptOnePlugin(cmd, settings)
	cmd.Flags().IntVarP(&limit, "number", "n", 20, "show at most this many entries; 0 for all")
	cmd.Flags().IntVar(&lines, "lines", 10, "show at most this many `lines` of the plugin's output")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if limit < 0 || lines < 0 {
			return withExitCode(exitUsage, errors.New("-n and --lines must not be negative (try --help)"))
		}
		cfg, _, err := settings.loadConfig(cmd)
		if err != nil {
			return err
		}
		entries, err := readHistory(cmd, cfg, state.Filter{Plugin: args[0], Limit: limit})
		if err != nil {
			return err
		}
		slices.Reverse(entries)
		now := time.Now()
		var is *plugin.View
		if snapshot, err := admin.DialRoot(cfg.Root, cfg.SocketPath()).Status(cmd.Context()); err == nil { // else readHistory has printed the error
			is, now = findView(snapshot, args[0]), snapshot.At
		}
		if is == nil && len(entries) == 0 {
			if err := checkInstalled(cmd.Context(), cfg, args[0]); err != nil {
				return err
			}
		}
		if len(entries) == 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "supervisor: the journal has no entries of %s\n", args[0])
		}
		out := cmd.OutOrStdout()
		if *output == asJSON {
			return writeJSON(out, whyResult{is, append([]plugin.Entry{}, entries...)})
		}
		return view.WriteWhy(out, is, entries, view.WhyOptions{Paint: view.PaintFor(out), Now: now, Output: lines})
	}
	return cmd
}

// findView returns the plugin of that name, nil for none.
func findView(s plugin.Snapshot, name string) *plugin.View {
	i := slices.IndexFunc(s.Plugins, func(v plugin.View) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Plugins[i]
}
