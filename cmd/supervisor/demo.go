package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"pluginsupervisor/cmd/supervisor/internal/demo"
)

func newDemoCommand() *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the supervisor at work in a temporary root",
		Long: `Show the supervisor at work in a temporary root, which is removed afterwards.
Sample plugins are installed and run; then one is killed, one crashes, one hangs,
one is upgraded, and the control plane is stopped and started. Every "ok" is
verified.

With --for the demo stops by itself and exits 0 only if all checks passed. Without
it, the demo runs until Ctrl-C.`,
		Args: checkArguments(cobra.NoArgs),
	}
	cmd.Flags().DurationVar(&o.For, "for", 0, "stop after this `time`, but not before everything was shown")
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "do not remove the root")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		exe, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find own executable: %w", err)
		}
		if o.For < 0 {
			return withExitCode(exitUsage, fmt.Errorf("--for must not be negative: %v", o.For))
		}
		// A closed terminal and a closed pipe also stop the demo in order: it must
		// clean up.
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
		defer stop()
		o.Bin, o.Out = filepath.Dir(exe), cmd.OutOrStdout()
		return demo.Run(ctx, o)
	}
	return cmd
}
