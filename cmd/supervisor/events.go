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

// reconnectDelay is the delay before a command connects again to a supervisor that
// has exited.
const reconnectDelay = 250 * time.Millisecond

func newEventsCommand() *cobra.Command {
	var (
		filter state.Filter
		since  time.Duration
		follow bool
	)
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happened on this host, oldest first",
		Long: `Show what happened on this host, oldest first: each change of a plugin's state
and each decision of the supervisor. Without a supervisor the files of the journal
are read.

With -f it shows new entries until it is interrupted, also when the supervisor is
restarted. With -o json each entry is one line.`,
		Args: checkArguments(cobra.NoArgs),
	}
	output := addOutput(cmd)
	settings := addRootSettings(cmd)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "show new entries until interrupted")
	cmd.Flags().StringVar(&filter.Plugin, "plugin", "", "show only entries of the plugin with this `name`")
	cmd.Flags().DurationVar(&since, "since", 0, "show only entries of the last `time`, such as 90s or 2h")
	cmd.Flags().IntVarP(&filter.Limit, "number", "n", 50, "show at most this many entries, the newest; 0 for all")
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
		show := func(e plugin.Entry) error { return view.WriteEvent(out, e, view.PaintFor(out)) }
		if *output == asJSON {
			lines := json.NewEncoder(out)
			lines.SetEscapeHTML(false)
			show = func(e plugin.Entry) error { return lines.Encode(e) }
		}
		if follow {
			return followEvents(cmd, cfg, filter, show)
		}
		entries, err := readHistory(cmd, cfg, filter)
		if err == nil && len(entries) == 0 && filter.Plugin != "" {
			err = checkInstalled(cmd.Context(), cfg, filter.Plugin)
		}
		for _, e := range entries {
			err = errors.Join(err, show(e))
		}
		return err
	}
	return cmd
}

// followEvents shows the entries that exist and new ones, until the context ends.
// If no supervisor runs it shows the entries of the files and waits for one.
func followEvents(cmd *cobra.Command, cfg config.Config, f state.Filter, show func(plugin.Entry) error) error {
	ctx, client := cmd.Context(), admin.DialRoot(cfg.Root, cfg.SocketPath())
	each := func(e plugin.Entry) error {
		f.After = e.Seq
		return show(e)
	}
	isReported := false
	for first := true; ; first = false {
		err := client.FollowEvents(ctx, f, func(e plugin.Entry) error {
			isReported = false
			return each(e)
		})
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, admin.ErrNoSupervisor) {
			return err
		}
		if !isReported {
			fmt.Fprintf(cmd.ErrOrStderr(), "supervisor: %v; waiting for one\n", err)
			isReported = true
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
		f.Limit = 0 // all new entries
		if pause.Sleep(ctx, reconnectDelay) != nil {
			return nil
		}
	}
}
