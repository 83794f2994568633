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

// commandResult is the answer of an order, for programs.
type commandResult struct {
	Accepted string       `json:"accepted"`
	State    plugin.State `json:"state,omitzero"` // with --wait
}

func newStartCommand() *cobra.Command {
	cmd, order := newLifecycleCommand(admin.CommandStart, plugin.StateRunning, "Start a plugin, also one that an operator stopped")
	cmd.Long += `

A plugin that another program works on is started when that has ended: it holds
the plugin's name lock. With --force it is started all the same, unless it runs
already.`
	force := cmd.Flags().Bool("force", false, "do not wait for a program that works on the plugin")
	cmd.PreRun = func(*cobra.Command, []string) {
		if *force {
			*order = admin.CommandForce
		}
	}
	return cmd
}

func newStopCommand() *cobra.Command {
	cmd, _ := newLifecycleCommand(admin.CommandStop, plugin.StateStopped, "Stop a plugin; it stays so until it is started again")
	return cmd
}

func newRestartCommand() *cobra.Command {
	cmd, _ := newLifecycleCommand(admin.CommandRestart, plugin.StateRunning, "Stop a plugin and start it")
	return cmd
}

// newLifecycleCommand has the supervisor do something to a plugin, after which it is
// in the state want (EV-14). The order may be set anew until it is run.
func newLifecycleCommand(o admin.Command, want plugin.State, short string) (cmd *cobra.Command, order *admin.Command) {
	var (
		wait    bool
		timeout time.Duration
	)
	order = &o
	cmd = &cobra.Command{
		Use:   string(o) + " NAME",
		Short: short,
		Long: short + `.

It exits 0 when the supervisor has accepted the order, and with --wait when the
plugin is ` + want.String() + `; 1 when it has not, or is not; 4 when there is no such plugin
or no supervisor.`,
	}
	output := addOutput(cmd)
	settings := addRootSettings(cmd)
	acceptOnePlugin(cmd, settings)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is done")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "with --wait: no longer than this `time`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if timeout <= 0 {
			return withExitCode(exitUsage, errors.New("--timeout must be positive (try --help)"))
		}
		cfg, _, err := settings.loadConfig(cmd)
		if err != nil {
			return err
		}
		a := &waiter{client: admin.DialRoot(cfg.Root, cfg.SocketPath()), name: args[0]}
		if wait { // what comes after this is the order's doing
			if err := a.skipPast(cmd.Context()); err != nil {
				return err
			}
		}
		var done commandResult
		if done.Accepted, err = a.client.SendCommand(cmd.Context(), *order, a.name); err != nil {
			return withExitNone(err)
		}
		out := cmd.OutOrStdout()
		if *output == asText {
			fmt.Fprintln(out, "accepted:", done.Accepted)
		}
		if wait {
			if err := a.waitForCommand(cmd.Context(), want, timeout); err != nil {
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
	return cmd, order
}

// waitForCommand waits until the order was carried out.
func (a *waiter) waitForCommand(ctx context.Context, want plugin.State, timeout time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := a.waitForState(limited, want, func(e plugin.Entry) error {
		if want == plugin.StateRunning && (e.To == plugin.StateCrashLoop || e.To == plugin.StateRemoved) {
			return fmt.Errorf("%s is %s: %s", a.name, e.To, view.CleanLine(e.Cause))
		}
		return nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return a.timeoutError(ctx, timeout)
	}
	return err
}
