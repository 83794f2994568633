package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"pluginsupervisor/internal/version"
)

// defaultAddress is the address that serve listens on and the other commands use.
const defaultAddress = "127.0.0.1:8700"

const about = `The reference control plane for plugin supervisors.

There is no login yet: any client that reaches the address can change all data.
By default the server therefore listens on loopback (` + defaultAddress + `).`

// run runs the program and returns its exit code. Data goes to stdout, one line
// for an error to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(stderr, "controlplane: %v\n", err)
		return 1
	}
	return 0
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "controlplane",
		Short:         "The reference control plane for plugin supervisors",
		Long:          about,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetUsageTemplate(strings.NewReplacer(
		".FlagUsages", ".FlagUsagesWrapped 80", "for more information about a command", "for more about a command",
	).Replace(root.UsageTemplate()))
	root.AddCommand(serveCommand(), offerCommand(), packageCommand(), setCommand(), hostsCommand(), versionCommand())
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "controlplane", version.String())
			return err
		},
	}
}
