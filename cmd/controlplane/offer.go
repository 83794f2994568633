package main

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"pluginsupervisor/internal/controlplane"
)

func offerCommand() *cobra.Command {
	var c client
	var host string
	var timeout time.Duration
	var withdraw bool
	cmd := &cobra.Command{
		Use:   "offer NAME VERSION",
		Short: "Offer hosts a version of a plugin, or withdraw that offer",
		Long: `Offer hosts a version of a plugin. Hosts with another version install it at
their next update check. An offer stays until it is withdrawn. A plugin has one
offer at a time; an offer for a single host has priority over one for all hosts.`,
		Example: "  controlplane offer log-agent 2.4.2 --timeout 2m\n  controlplane offer log-agent 2.4.2 --withdraw",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := controlplane.Offer{Name: args[0], Version: args[1], Host: host}
			if withdraw {
				q := url.Values{"name": {o.Name}, "version": {o.Version}, "host": {o.Host}}
				return c.callAPI(cmd.Context(), http.MethodDelete, "/api/offers?"+q.Encode(), nil, nil)
			}
			var err error
			if o.Timeout, err = wholeSeconds("timeout", timeout); err != nil {
				return err
			}
			return c.callAPI(cmd.Context(), http.MethodPost, "/api/offers", o, nil)
		},
	}
	f := cmd.Flags()
	f.StringVar(&host, "host", "", "`id` of the only host that gets the offer (default: all hosts)")
	f.DurationVar(&timeout, "timeout", 0, "timeout of the upgrade on a host; 0 for 60s")
	f.BoolVar(&withdraw, "withdraw", false, "withdraw the offer")
	cmd.MarkFlagsMutuallyExclusive("withdraw", "timeout")
	serverFlags(cmd, &c)
	return cmd
}

// wholeSeconds returns a flag's duration in seconds.
func wholeSeconds(flag string, d time.Duration) (controlplane.Seconds, error) {
	if d%time.Second != 0 {
		return 0, fmt.Errorf("--%s %v is not in whole seconds", flag, d)
	}
	return controlplane.Seconds(d / time.Second), nil
}
