package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"pluginsupervisor/cmd/supervisor/internal/view"
	"pluginsupervisor/internal/admin"
	"pluginsupervisor/plugin"
)

// obeyed is the answer of an order, for programs.
type obeyed struct {
	Accepted string       `json:"accepted"`
	State    plugin.State `json:"state,omitzero"` // with --wait
}

func startCommand() *cobra.Command {
	return orderCommand(admin.OrderStart, plugin.StateRunning, "Start a plugin, also one that an operator stopped")
}

func stopCommand() *cobra.Command {
	return orderCommand(admin.OrderStop, plugin.StateStopped, "Stop a plugin; it stays so until it is started again")
}

func restartCommand() *cobra.Command {
	return orderCommand(admin.OrderRestart, plugin.StateRunning, "Stop a plugin and start it")
}

// orderCommand has the supervisor do something to a plugin, after which it is
// in the state want (EV-14).
func orderCommand(order admin.Order, want plugin.State, short string) *cobra.Command {
	var (
		wait    bool
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   string(order) + " NAME",
		Short: short,
		Long: short + `.

It exits 0 when the supervisor has accepted the order, and with --wait when the
plugin is ` + want.String() + `; 1 when it has not, or is not; 4 when there is no such plugin
or no supervisor.`,
	}
	output := addOutput(cmd)
	settings := addPlace(cmd)
	onePlugin(cmd, settings)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is done")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "with --wait: no longer than this `time`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if timeout <= 0 {
			return exit(exitUsage, errors.New("--timeout must be positive (try --help)"))
		}
		cfg, _, err := settings.load(cmd)
		if err != nil {
			return err
		}
		a := &awaitable{client: admin.DialRoot(cfg.Root, cfg.SocketPath()), name: args[0]}
		if wait { // what comes after this is the order's doing
			if err := a.begin(cmd.Context()); err != nil {
				return err
			}
		}
		var done obeyed
		if done.Accepted, err = a.client.Order(cmd.Context(), order, a.name); err != nil {
			return noneOf(err)
		}
		out := cmd.OutOrStdout()
		if *output == asText {
			fmt.Fprintln(out, "accepted:", done.Accepted)
		}
		if wait {
			if err := a.done(cmd.Context(), want, timeout); err != nil {
				return err
			}
			done.State = want
			if *output == asText {
				fmt.Fprintf(out, "%s is %s\n", a.name, want)
			}
		}
		if *output == asJSON {
			return writeJSON(out, done)
		}
		return nil
	}
	return cmd
}

// done waits until the order was carried out.
func (a *awaitable) done(ctx context.Context, want plugin.State, timeout time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := a.reach(limited, want, func(e plugin.Entry) error {
		if want == plugin.StateRunning && (e.To == plugin.StateCrashLoop || e.To == plugin.StateRemoved) {
			return fmt.Errorf("%s is %s: %s", a.name, e.To, view.Line(e.Cause))
		}
		return nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return a.late(ctx, timeout)
	}
	return err
}
