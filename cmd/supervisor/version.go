package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"pluginsupervisor/internal/version"
)

func newVersionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  checkArguments(cobra.NoArgs),
	}
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		about := struct {
			Version string `json:"version"`
			Go      string `json:"go"`
			OS      string `json:"os"`
			Arch    string `json:"arch"`
		}{version.String(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
		if *output == asJSON {
			return writeJSON(cmd.OutOrStdout(), about)
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "supervisor %s (%s, %s/%s)\n", about.Version, about.Go, about.OS, about.Arch)
		return err
	}
	return cmd
}
