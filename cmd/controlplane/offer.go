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
		Long: `Offer hosts a version of a plugin. Those that have another one take it at their
next update check. The offer stands until it is withdrawn; there is one at a
time for a plugin, and one for a single host goes before one for all.`,
		Example: "  controlplane offer log-agent 2.4.2 --timeout 2m\n  controlplane offer log-agent 2.4.2 --withdraw",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := controlplane.Offer{Name: args[0], Version: args[1], Host: host}
			if withdraw {
				q := url.Values{"name": {o.Name}, "version": {o.Version}, "host": {o.Host}}
				return c.call(cmd.Context(), http.MethodDelete, "/api/offers?"+q.Encode(), nil, nil)
			}
			var err error
			if o.Timeout, err = seconds("timeout", timeout); err != nil {
				return err
			}
			return c.call(cmd.Context(), http.MethodPost, "/api/offers", o, nil)
		},
	}
	f := cmd.Flags()
	f.StringVar(&host, "host", "", "`id` of the only host it is for; all if not given")
	f.DurationVar(&timeout, "timeout", 0, "how long the upgrade may take on a host; 0 for 60s")
	f.BoolVar(&withdraw, "withdraw", false, "take the offer back")
	cmd.MarkFlagsMutuallyExclusive("withdraw", "timeout")
	serverFlags(cmd, &c)
	return cmd
}

// seconds is a flag's duration as the wire has it.
func seconds(flag string, d time.Duration) (controlplane.Seconds, error) {
	if d%time.Second != 0 {
		return 0, fmt.Errorf("--%s %v is not in whole seconds", flag, d)
	}
	return controlplane.Seconds(d / time.Second), nil
}
