package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/packagesource"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check or print the effective configuration",
		Args:  checkArguments(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigCheckCommand(), newConfigShowCommand())
	return cmd
}

func newConfigCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration: exit 0, or 2 with one line per mistake",
		Args:  checkArguments(cobra.NoArgs),
	}
	output := addOutput(cmd)
	settings := addSettings(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, warnings, err := settings.loadConfig(cmd)
		if err == nil {
			err = checkNamedFiles(cfg)
		}
		if err != nil {
			return err
		}
		for _, w := range warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "supervisor: warning:", w)
		}
		if *output == asJSON {
			return writeJSON(cmd.OutOrStdout(), map[string]bool{"ok": true})
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "the configuration is valid")
		return err
	}
	return cmd
}

// checkNamedFiles reads the files that the configuration names, as `supervisor run` does
// first of all: tokens, certificates and keys.
func checkNamedFiles(cfg config.Config) error {
	client, err := packagesource.NewClient(cfg, "", logger.OrSilent(nil))
	if err == nil {
		client.Close()
		_, err = packagesource.NewInstaller(cfg)
	}
	if err != nil {
		return withExitCode(exitUsage, err)
	}
	return nil
}

func newConfigShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the effective configuration: defaults, file, environment and flags combined",
		Args:  checkArguments(cobra.NoArgs),
	}
	output := addOutput(cmd)
	settings := addSettings(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, _, err := settings.loadConfig(cmd)
		if err != nil {
			return err
		}
		b, err := cfg.YAML()
		if err != nil {
			return err
		}
		if *output == asJSON {
			var v map[string]any
			if err := yaml.Unmarshal(b, &v); err != nil {
				return fmt.Errorf("read configuration: %w", err)
			}
			return writeJSON(cmd.OutOrStdout(), v)
		}
		_, err = cmd.OutOrStdout().Write(b)
		return err
	}
	return cmd
}
