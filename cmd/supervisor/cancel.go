package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"pluginsupervisor/internal/admin"
)

func newCancelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel NAME",
		Short: "Cancel an installation or upgrade",
		Long: `Cancel the current installation, upgrade or rollback of a plugin.

While the package is being fetched, the fetch is stopped and the plugin is not
touched. After that, and until upgrade.prove is over, the old version is restored.

Exit status: 0 when the supervisor has accepted the command, 1 when there is
nothing to cancel, 4 for no such plugin or no supervisor.`,
	}
	output := addOutput(cmd)
	settings := addRootSettings(cmd)
	acceptOnePlugin(cmd, settings)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, _, err := settings.loadConfig(cmd)
		if err != nil {
			return err
		}
		accepted, err := admin.DialRoot(cfg.Root, cfg.SocketPath()).SendCommand(cmd.Context(), admin.CommandCancel, args[0])
		if err != nil {
			return withExitNone(err)
		}
		if *output == asJSON {
			return writeJSON(cmd.OutOrStdout(), commandResult{Accepted: accepted})
		}
		fmt.Fprintln(cmd.OutOrStdout(), "accepted:", accepted)
		return nil
	}
	return cmd
}
