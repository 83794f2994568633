package main

import (
	"os"

	"github.com/spf13/cobra"

	"pluginsupervisor/internal/config"
)

// settings holds the flags that locate the configuration of a command.
type settings struct{ file string }

// addSettings adds --config and a flag for each named key, or for every key if none
// is named.
func addSettings(cmd *cobra.Command, names ...string) *settings {
	s := &settings{}
	config.AddFlags(cmd.Flags(), names...)
	cmd.Flags().StringVar(&s.file, "config", config.DefaultFile, "configuration `file`")
	return s
}

// addRootSettings adds the flags that select the supervisor.
func addRootSettings(cmd *cobra.Command) *settings { return addSettings(cmd, "root", "admin.socket") }

// loadConfig reads the configuration. Mistakes are a usage error with one line each.
func (s *settings) loadConfig(cmd *cobra.Command) (config.Config, []config.Warning, error) {
	cfg, warnings, err := config.Load(config.Sources{
		File: s.file, FileNamed: cmd.Flags().Changed("config"), Environ: os.Environ(), Flags: cmd.Flags(),
	})
	if err != nil {
		return cfg, nil, withExitCode(exitUsage, err)
	}
	return cfg, warnings, nil
}
