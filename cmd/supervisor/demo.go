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
		Short: "Show it all at work, in a temporary root that is removed afterwards",
		Long: `Show it all at work, in a temporary root that is removed afterwards: sample
plugins are installed and run, one is killed, one crashes, one hangs, one is
upgraded, and the control plane goes away and comes back.

With --for it ends by itself when everything was shown, and exits 0 only if
everything that it showed really happened. Without, it goes on until Ctrl-C.`,
		Args: checkArguments(cobra.NoArgs),
	}
	cmd.Flags().DurationVar(&o.For, "for", 0, "end after this `time`, or when all was shown if that is later")
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "leave the root for a look afterwards")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		exe, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find own executable: %w", err)
		}
		if o.For < 0 {
			return withExitCode(exitUsage, fmt.Errorf("--for %v: a time cannot be negative", o.For))
		}
		// Nothing may stay behind, so also a closed terminal and a reader that
		// went away end it in order.
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
		defer stop()
		o.Bin, o.Out = filepath.Dir(exe), cmd.OutOrStdout()
		return demo.Run(ctx, o)
	}
	return cmd
}
