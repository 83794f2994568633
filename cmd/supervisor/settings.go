package main

import (
	"os"

	"github.com/spf13/cobra"

	"pluginsupervisor/internal/config"
)

// settings are the flags by which a command finds its configuration.
type settings struct{ file string }

// addSettings gives a command --config and a flag for each named setting, or
// for all of them when none is named.
func addSettings(cmd *cobra.Command, names ...string) *settings {
	s := &settings{}
	config.AddFlags(cmd.Flags(), names...)
	cmd.Flags().StringVar(&s.file, "config", config.DefaultFile, "configuration `file`")
	return s
}

// addRootSettings gives a command the flags that say which supervisor is meant.
func addRootSettings(cmd *cobra.Command) *settings { return addSettings(cmd, "root", "admin.socket") }

// loadConfig reads the configuration. A mistake is a usage error with one line for
// each.
func (s *settings) loadConfig(cmd *cobra.Command) (config.Config, []config.Warning, error) {
	cfg, warnings, err := config.Load(config.Sources{
		File: s.file, FileNamed: cmd.Flags().Changed("config"), Environ: os.Environ(), Flags: cmd.Flags(),
	})
	if err != nil {
		return cfg, nil, withExitCode(exitUsage, err)
	}
	return cfg, warnings, nil
}
