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

// commandResult is the JSON output of a command to the supervisor.
type commandResult struct {
	Accepted string       `json:"accepted"`
	State    plugin.State `json:"state,omitzero"` // with --wait
}

func newStartCommand() *cobra.Command {
	cmd, sent := newLifecycleCommand(admin.CommandStart, plugin.StateRunning, "Start a plugin, also a stopped one")
	cmd.Long += `

A plugin whose name lock another program holds is started when the lock is free.
With --force it is started without waiting, unless it runs already.`
	force := cmd.Flags().Bool("force", false, "do not wait for a program that holds the lock of the plugin")
	cmd.PreRun = func(*cobra.Command, []string) {
		if *force {
			*sent = admin.CommandForce
		}
	}
	return cmd
}

func newStopCommand() *cobra.Command {
	cmd, _ := newLifecycleCommand(admin.CommandStop, plugin.StateStopped, "Stop a plugin; it stays stopped until it is started")
	return cmd
}

func newRestartCommand() *cobra.Command {
	cmd, _ := newLifecycleCommand(admin.CommandRestart, plugin.StateRunning, "Restart a plugin")
	return cmd
}

// newLifecycleCommand returns a command that requests the state want of a plugin
// (EV-14). The returned request may be changed until the command runs.
func newLifecycleCommand(o admin.Command, want plugin.State, short string) (cmd *cobra.Command, sent *admin.Command) {
	var (
		wait    bool
		timeout time.Duration
	)
	sent = &o
	cmd = &cobra.Command{
		Use:   string(o) + " NAME",
		Short: short,
		Long: short + `.

Exit status: 0 when the supervisor has accepted the command, with --wait when the
plugin is ` + want.String() + `; 1 otherwise; 4 for no such plugin or no supervisor.`,
	}
	output := addOutput(cmd)
	settings := addRootSettings(cmd)
	acceptOnePlugin(cmd, settings)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the plugin is "+want.String())
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "with --wait: longest `time` to wait")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if timeout <= 0 {
			return withExitCode(exitUsage, errors.New("--timeout must be positive (try --help)"))
		}
		cfg, _, err := settings.loadConfig(cmd)
		if err != nil {
			return err
		}
		w := &waiter{client: admin.DialRoot(cfg.Root, cfg.SocketPath()), name: args[0]}
		if wait { // later entries are results of the command
			if err := w.skipPast(cmd.Context()); err != nil {
				return err
			}
		}
		var done commandResult
		if done.Accepted, err = w.client.SendCommand(cmd.Context(), *sent, w.name); err != nil {
			return withExitNone(err)
		}
		out := cmd.OutOrStdout()
		if *output == asText {
			fmt.Fprintln(out, "accepted:", done.Accepted)
		}
		if wait {
			if err := w.waitForCommand(cmd.Context(), want, timeout); err != nil {
				return err
			}
			done.State = want
			if *output == asText {
				fmt.Fprintf(out, "%s is %s\n", w.name, want)
			}
		}
		if *output == asJSON {
			return writeJSON(out, done)
		}
		return nil
	}
	return cmd, sent
}

// waitForCommand waits until the plugin is in the state want.
func (w *waiter) waitForCommand(ctx context.Context, want plugin.State, timeout time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := w.waitForState(limited, want, func(e plugin.Entry) error {
		if want == plugin.StateRunning && (e.To == plugin.StateCrashLoop || e.To == plugin.StateRemoved) {
			return fmt.Errorf("%s is %s: %s", w.name, e.To, view.CleanLine(e.Cause))
		}
		return nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return w.timeoutError(ctx, timeout)
	}
	return err
}
