package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"pluginsupervisor/internal/controlplane"
)

func hostsCommand() *cobra.Command {
	var c client
	var format string
	cmd := &cobra.Command{
		Use:   "hosts",
		Short: "List the hosts and their plugins",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "text" && format != "json" {
				return fmt.Errorf("output %q: text or json", format)
			}
			var all controlplane.HostList
			if err := c.call(cmd.Context(), http.MethodGet, "/api/hosts", nil, &all); err != nil {
				return err
			}
			if format == "json" {
				out := json.NewEncoder(cmd.OutOrStdout())
				out.SetIndent("", "  ")
				return out.Encode(all)
			}
			return printHosts(cmd.OutOrStdout(), all.Hosts, time.Now())
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	serverFlags(cmd, &c)
	return cmd
}

func printHosts(to io.Writer, hosts []controlplane.Host, now time.Time) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "HOST\tHEARD\tPLUGIN\tVERSION\tSTATE\tSINCE")
	for _, h := range hosts {
		if len(h.Plugins) == 0 {
			fmt.Fprintf(w, "%s\t%s\t-\t-\t-\t-\n", plain(h.ID), age(now, h.LastHeard))
		}
		for _, p := range h.Plugins {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n",
				plain(h.ID), age(now, h.LastHeard), plain(p.Name), plain(p.Version), p.Status, age(now, p.Since))
		}
	}
	return w.Flush()
}

// age is how long ago something was, to the second.
func age(now, then time.Time) string {
	return max(0, now.Sub(then)).Truncate(time.Second).String()
}

// plain keeps a host's words from steering the terminal or the table.
func plain(text string) string {
	if text == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '�'
	}, text)
}
