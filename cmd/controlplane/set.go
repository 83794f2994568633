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
		Short: "Set the intervals and how hosts report, and show what is set",
		Long: `Set the intervals and how hosts report, and show what is set. What no flag
names stays as it is; without flags nothing changes. Hosts follow intervals of
10s to 168h; with 0 they keep their own.`,
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
			if err := c.call(cmd.Context(), method, "/api/settings", send, &now); err != nil {
				return err
			}
			return printSettings(cmd.OutOrStdout(), now)
		},
	}
	f := cmd.Flags()
	f.Duration("scan", 0, "between two scans by --status")
	f.Duration("pull", 0, "between two looks at the heartbeats")
	f.Duration("refresh", 0, "after a restart, until the plugin is reported again")
	f.Duration("update", 0, "between two update checks")
	f.Bool("lazy", false, "pull reports only when something changed")
	f.Bool("normal", false, "pull reports always")
	cmd.MarkFlagsMutuallyExclusive("lazy", "normal")
	serverFlags(cmd, &c)
	return cmd
}

// settingsChange is the body that changes what the flags name and nothing else.
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
		if change[field], err = seconds(flag, d); err != nil {
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
			text = "host's own"
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
