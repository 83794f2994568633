package main

import (
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pluginsupervisor/internal/controlplane"
)

func setCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "set",
		Short: "Set the intervals and report mode of hosts, and show them",
		Long: `Set the intervals and the report mode of hosts, and show the settings. Settings
without a flag stay as they are; without flags the command only shows them.
Intervals are 10s to 168h; 0 means the host's default.`,
		Example: "  controlplane set --scan 5m --pull 1m --lazy\n  controlplane set --scan 0",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			change, err := settingsChange(cmd)
			if err != nil {
				return err
			}
			method, send := http.MethodGet, any(nil)
			if len(change) > 0 {
				method, send = http.MethodPut, change
			}
			var now controlplane.Settings
			if err := c.callAPI(cmd.Context(), method, "/api/settings", send, &now); err != nil {
				return err
			}
			return printSettings(cmd.OutOrStdout(), now)
		},
	}
	f := cmd.Flags()
	f.Duration("scan", 0, "time between two scans by --status")
	f.Duration("pull", 0, "time between two checks of the heartbeats")
	f.Duration("refresh", 0, "time from a restart to the next report of the plugin")
	f.Duration("update", 0, "time between two update checks")
	f.Bool("lazy", false, "the pull sends a report only after a change")
	f.Bool("normal", false, "the pull always sends a report")
	cmd.MarkFlagsMutuallyExclusive("lazy", "normal")
	serverFlags(cmd, &c)
	return cmd
}

// settingsChange returns the request body with the settings of the given flags.
func settingsChange(cmd *cobra.Command) (map[string]any, error) {
	change := map[string]any{}
	for flag, field := range map[string]string{
		"scan": "scanInterval", "pull": "pullInterval", "refresh": "refreshInterval", "update": "updateInterval",
	} {
		if !cmd.Flags().Changed(flag) {
			continue
		}
		var d time.Duration
		d, err := cmd.Flags().GetDuration(flag)
		if err != nil {
			return nil, err
		}
		if change[field], err = wholeSeconds(flag, d); err != nil {
			return nil, err
		}
	}
	for flag, lazyWhenTrue := range map[string]bool{"lazy": true, "normal": false} {
		if !cmd.Flags().Changed(flag) {
			continue
		}
		value, err := cmd.Flags().GetBool(flag)
		if err != nil {
			return nil, err
		}
		change["lazy"] = value == lazyWhenTrue
	}
	return change, nil
}

func printSettings(to io.Writer, s controlplane.Settings) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, line := range []struct {
		name  string
		value controlplane.Seconds
	}{{"scan", s.Scan}, {"pull", s.Pull}, {"refresh", s.Refresh}, {"update", s.Update}} {
		text := line.value.String()
		if text == "" {
			text = "default"
		}
		fmt.Fprintf(w, "%s\t%s\n", line.name, text)
	}
	mode := "normal"
	if s.Lazy {
		mode = "lazy"
	}
	fmt.Fprintf(w, "reports\t%s\n", mode)
	return w.Flush()
}
