package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"pluginsupervisor/cmd/supervisor/internal/view"
	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/state"
	"pluginsupervisor/plugin"
)

// reconnectDelay is how long a command that outlives the supervisor waits before
// it asks again.
const reconnectDelay = 250 * time.Millisecond

func newEventsCommand() *cobra.Command {
	var (
		filter state.Filter
		since  time.Duration
		follow bool
	)
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happened on this host, the oldest first",
		Long: `Show what happened on this host, the oldest first: each change of a plugin's
state and what the supervisor decided. Without a supervisor the journal's files
tell. With -f it goes on until it is interrupted, over the end of the supervisor
and the start of the next; with -o json each entry is a line.`,
		Args: checkArguments(cobra.NoArgs),
	}
	output := addOutput(cmd)
	settings := addRootSettings(cmd)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens from now on")
	cmd.Flags().StringVar(&filter.Plugin, "plugin", "", "only this plugin's, by its `name`")
	cmd.Flags().DurationVar(&since, "since", 0, "only those of the last `time`, such as 90s or 2h")
	cmd.Flags().IntVarP(&filter.Limit, "number", "n", 50, "show at most so many, the newest; 0 for all")
	_ = cmd.RegisterFlagCompletionFunc("plugin", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return completeNames(cmd, settings), cobra.ShellCompDirectiveNoFileComp
	})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if filter.Limit < 0 || since < 0 {
			return withExitCode(exitUsage, errors.New("-n and --since must not be negative (try --help)"))
		}
		cfg, _, err := settings.loadConfig(cmd)
		if err != nil {
			return err
		}
		if since > 0 {
			filter.Since = time.Now().Add(-since)
		}
		out := cmd.OutOrStdout()
		tell := func(e plugin.Entry) error { return view.WriteEvent(out, e, view.PaintFor(out)) }
		if *output == asJSON {
			lines := json.NewEncoder(out)
			lines.SetEscapeHTML(false)
			tell = func(e plugin.Entry) error { return lines.Encode(e) }
		}
		if follow {
			return followEvents(cmd, cfg, filter, tell)
		}
		entries, err := readHistory(cmd, cfg, filter)
		if err == nil && len(entries) == 0 && filter.Plugin != "" {
			err = checkInstalled(cmd.Context(), cfg, filter.Plugin)
		}
		for _, e := range entries {
			err = errors.Join(err, tell(e))
		}
		return err
	}
	return cmd
}

// followEvents tells what there is and what comes, until the context ends. It
// outlives the supervisor; where there is none it tells what the files have and
// waits for one.
func followEvents(cmd *cobra.Command, cfg config.Config, f state.Filter, tell func(plugin.Entry) error) error {
	ctx, client := cmd.Context(), admin.DialRoot(cfg.Root, cfg.SocketPath())
	each := func(e plugin.Entry) error {
		f.After = e.Seq
		return tell(e)
	}
	said := false
	for first := true; ; first = false {
		err := client.FollowEvents(ctx, f, func(e plugin.Entry) error {
			said = false
			return each(e)
		})
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, admin.ErrNoSupervisor) {
			return err
		}
		if !said {
			fmt.Fprintf(cmd.ErrOrStderr(), "supervisor: %v; waiting for one\n", err)
			said = true
		}
		if first {
			entries, err := readJournalFiles(cmd.ErrOrStderr(), cfg, f)
			for _, e := range entries {
				err = errors.Join(err, each(e))
			}
			if err != nil {
				return err
			}
		}
		f.Limit = 0 // from here on, all that is new
		if pause.Sleep(ctx, reconnectDelay) != nil {
			return nil
		}
	}
}
