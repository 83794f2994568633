package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// builtVersion is set by the linker for a release: -X main.builtVersion=1.2.3.
var builtVersion string

// version is what this program calls itself: the release, else what the Go
// toolchain knows of the source it was built from.
func version() string {
	if builtVersion != "" {
		return builtVersion
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  arguments(cobra.NoArgs),
	}
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		about := struct {
			Version string `json:"version"`
			Go      string `json:"go"`
			OS      string `json:"os"`
			Arch    string `json:"arch"`
		}{version(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
		if *output == asJSON {
			return writeJSON(cmd.OutOrStdout(), about)
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "supervisor %s (%s, %s/%s)\n", about.Version, about.Go, about.OS, about.Arch)
		return err
	}
	return cmd
}
