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
				return fmt.Errorf("output %q is not known: want text or json", format)
			}
			var all controlplane.HostList
			if err := c.callAPI(cmd.Context(), http.MethodGet, "/api/hosts", nil, &all); err != nil {
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
	fmt.Fprintln(w, "HOST\tLAST SEEN\tPLUGIN\tVERSION\tSTATE\tSINCE")
	for _, h := range hosts {
		if len(h.Plugins) == 0 {
			fmt.Fprintf(w, "%s\t%s\t-\t-\t-\t-\n", printable(h.ID), formatAge(now, h.LastSeen))
		}
		for _, p := range h.Plugins {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n",
				printable(h.ID), formatAge(now, h.LastSeen), printable(p.Name), printable(p.Version), p.Status, formatAge(now, p.Since))
		}
	}
	return w.Flush()
}

// formatAge returns the time since then, in whole seconds.
func formatAge(now, then time.Time) string {
	return max(0, now.Sub(then)).Truncate(time.Second).String()
}

// printable returns a host's text without control characters, which could change
// the terminal or the table.
func printable(text string) string {
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
