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

// whyResult are the answer to `why`, for programs.
type whyResult struct {
	Plugin  *plugin.View   `json:"plugin,omitempty"` // as it is now, if a supervisor answers
	Entries []plugin.Entry `json:"entries"`          // the newest first
}

func newWhyCommand() *cobra.Command {
	var limit, lines int
	cmd := &cobra.Command{
		Use:   "why NAME",
		Short: "Show what happened to a plugin, why, and what was decided",
		Long: `Show what happened to a plugin, the newest first: when, what, why, what was
decided and what comes next; below an exit, the last lines that the plugin
printed. Without a supervisor the journal's files tell.

It exits 4 when there is no such plugin.`,
	}
	output := addOutput(cmd)
	settings := addRootSettings(cmd)
	acceptOnePlugin(cmd, settings)
	cmd.Flags().IntVarP(&limit, "number", "n", 20, "show at most so many entries, 0 for all")
	cmd.Flags().IntVar(&lines, "lines", 10, "show at most so many `lines` of what the plugin printed")
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
		if snapshot, err := admin.DialRoot(cfg.Root, cfg.SocketPath()).Status(cmd.Context()); err == nil { // else history has said so
			is, now = findView(snapshot, args[0]), snapshot.At
		}
		if is == nil && len(entries) == 0 {
			if err := checkInstalled(cmd.Context(), cfg, args[0]); err != nil {
				return err
			}
		}
		if len(entries) == 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "supervisor: the journal has nothing about %s\n", args[0])
		}
		out := cmd.OutOrStdout()
		if *output == asJSON {
			return writeJSON(out, whyResult{is, append([]plugin.Entry{}, entries...)})
		}
		return view.WriteWhy(out, is, entries, view.WhyOptions{Paint: view.PaintFor(out), Now: now, Output: lines})
	}
	return cmd
}

// findView is the plugin of that name, nil if there is none.
func findView(s plugin.Snapshot, name string) *plugin.View {
	i := slices.IndexFunc(s.Plugins, func(v plugin.View) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Plugins[i]
}
