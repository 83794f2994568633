package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pluginsupervisor/cmd/supervisor/internal/view"
	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/state"
	"pluginsupervisor/plugin"
)

// errReached stops following events: the awaited event has come.
var errReached = errors.New("reached")

// waiter waits for events of one plugin.
type waiter struct {
	client *admin.Client
	name   string
	after  uint64 // number of the last known entry of the journal
}

// skipPast marks the entries until now as known.
func (w *waiter) skipPast(ctx context.Context) error {
	newest, err := w.client.ReadEvents(ctx, state.Filter{Limit: 1})
	if damage := (*state.SkippedError)(nil); err != nil && !errors.As(err, &damage) {
		return withExitNone(err)
	}
	if len(newest) > 0 {
		w.after = newest[0].Seq
	}
	return nil
}

// readView returns the current state of the plugin.
func (w *waiter) readView(ctx context.Context) (plugin.View, error) {
	snapshot, err := w.client.Status(ctx)
	if err != nil {
		return plugin.View{}, withExitNone(err)
	}
	v := findView(snapshot, w.name)
	if v == nil {
		return plugin.View{}, noPluginError(w.name)
	}
	return *v, nil
}

// waitForState waits until the plugin reaches the state or check returns an error.
// If the supervisor exits, it waits for the next one.
func (w *waiter) waitForState(ctx context.Context, want plugin.State, check func(plugin.Entry) error) error {
	for {
		err := w.client.FollowEvents(ctx, state.Filter{Plugin: w.name, After: w.after}, func(e plugin.Entry) error {
			w.after = e.Seq
			switch {
			case e.Kind != plugin.EntryState:
				return nil
			case e.To == want:
				return errReached
			default:
				return check(e)
			}
		})
		switch {
		case errors.Is(err, errReached):
			return nil
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return context.DeadlineExceeded
		case !errors.Is(err, admin.ErrNoSupervisor):
			return err
		}
		_ = pause.Sleep(ctx, reconnectDelay)
	}
}

// timeoutError returns an error with the state of the plugin after the timeout.
func (w *waiter) timeoutError(ctx context.Context, waited time.Duration) error {
	v, err := w.readView(ctx)
	if err != nil {
		return err
	}
	why := ""
	if v.Why != "" {
		why = ": " + view.CleanLine(v.Why)
	}
	return fmt.Errorf("%s is %s after %s%s", w.name, v.State, waited, why)
}

// withExitNone gives an error for a missing supervisor or plugin the code exitNone.
func withExitNone(err error) error {
	if errors.Is(err, admin.ErrNoSupervisor) || errors.Is(err, plugin.ErrNoPlugin) {
		return withExitCode(exitNone, err)
	}
	return err
}

// stateFlag is the value of --for.
type stateFlag struct{ state *plugin.State }

func (w stateFlag) String() string {
	if w.state == nil {
		return ""
	}
	return w.state.String()
}

func (stateFlag) Type() string { return "state" }

// Set implements pflag.Value.
func (w *stateFlag) Set(s string) error {
	w.state = new(plugin.State)
	if err := w.state.UnmarshalText([]byte(s)); err != nil {
		return fmt.Errorf("one of %s", strings.Join(listStateNames(), ", "))
	}
	return nil
}

func listStateNames() (names []string) {
	for _, s := range plugin.States {
		names = append(names, s.String())
	}
	return names
}

// waitResult is the JSON output of wait.
type waitResult struct {
	Name  string       `json:"name"`
	State plugin.State `json:"state"`
}

func newWaitCommand() *cobra.Command {
	var (
		want    stateFlag
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "wait NAME --for=STATE",
		Short: "Wait for a plugin to reach a state",
		Long: `Wait for a plugin to reach a state. A state that it reached and left again while
this command ran counts.

Exit status: 0 when the state is reached, 1 after the timeout, 4 for no such
plugin or no supervisor.`,
	}
	output := addOutput(cmd)
	settings := addRootSettings(cmd)
	acceptOnePlugin(cmd, settings)
	cmd.Flags().Var(&want, "for", "`state` to wait for, such as running, stopped or crash-loop")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "longest `time` to wait")
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(listStateNames(), cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if want.state == nil || timeout <= 0 {
			return withExitCode(exitUsage, errors.New("--for is required, and --timeout must be positive (try --help)"))
		}
		cfg, _, err := settings.loadConfig(cmd)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		w := &waiter{client: admin.DialRoot(cfg.Root, cfg.SocketPath()), name: args[0]}
		if err := w.skipPast(ctx); err != nil {
			return err
		}
		v, err := w.readView(ctx)
		if err == nil && v.State != *want.state {
			err = w.waitForState(ctx, *want.state, func(plugin.Entry) error { return nil })
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return w.timeoutError(cmd.Context(), timeout)
		}
		if err != nil {
			return err
		}
		if *output == asJSON {
			return writeJSON(cmd.OutOrStdout(), waitResult{w.name, *want.state})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is %s\n", w.name, *want.state)
		return err
	}
	return cmd
}
