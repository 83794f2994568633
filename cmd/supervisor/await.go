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

// errReached ends the wait for a state.
var errReached = errors.New("reached")

// awaitable waits for what happens to one plugin.
type awaitable struct {
	client *admin.Client
	name   string
	after  uint64 // the last entry that was looked at
}

// begin takes what happened until now as known.
func (a *awaitable) begin(ctx context.Context) error {
	newest, err := a.client.ReadEvents(ctx, state.Filter{Limit: 1})
	if damage := (*state.SkippedError)(nil); err != nil && !errors.As(err, &damage) {
		return noneOf(err)
	}
	if len(newest) > 0 {
		a.after = newest[0].Seq
	}
	return nil
}

// now is the plugin as it is.
func (a *awaitable) now(ctx context.Context) (plugin.View, error) {
	snapshot, err := a.client.Status(ctx)
	if err != nil {
		return plugin.View{}, noneOf(err)
	}
	v := viewOf(snapshot, a.name)
	if v == nil {
		return plugin.View{}, noPlugin(a.name)
	}
	return *v, nil
}

// reach waits until the plugin comes into the state, or judge says that it
// will not. A supervisor that ends is waited for as well.
func (a *awaitable) reach(ctx context.Context, want plugin.State, judge func(plugin.Entry) error) error {
	for {
		err := a.client.FollowEvents(ctx, state.Filter{Plugin: a.name, After: a.after}, func(e plugin.Entry) error {
			a.after = e.Seq
			switch {
			case e.Kind != plugin.EntryState:
				return nil
			case e.To == want:
				return errReached
			default:
				return judge(e)
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
		_ = pause.Sleep(ctx, againAfter)
	}
}

// late says in which state the plugin is instead, after all the time there was.
func (a *awaitable) late(ctx context.Context, waited time.Duration) error {
	v, err := a.now(ctx)
	if err != nil {
		return err
	}
	why := ""
	if v.Why != "" {
		why = ": " + view.Line(v.Why)
	}
	return fmt.Errorf("%s is %s after %s%s", a.name, v.State, waited, why)
}

// noneOf makes the lack of a supervisor end the program with exitNone.
func noneOf(err error) error {
	if errors.Is(err, admin.ErrNoSupervisor) || errors.Is(err, plugin.ErrNoPlugin) {
		return exit(exitNone, err)
	}
	return err
}

// wanted is the value of --for.
type wanted struct{ state *plugin.State }

func (w wanted) String() string {
	if w.state == nil {
		return ""
	}
	return w.state.String()
}

func (wanted) Type() string { return "state" }

// Set implements pflag.Value.
func (w *wanted) Set(s string) error {
	w.state = new(plugin.State)
	if err := w.state.UnmarshalText([]byte(s)); err != nil {
		return fmt.Errorf("one of %s", strings.Join(stateNames(), ", "))
	}
	return nil
}

func stateNames() (names []string) {
	for _, s := range plugin.States {
		names = append(names, s.String())
	}
	return names
}

// reached is the good answer of `wait`, for programs.
type reached struct {
	Name  string       `json:"name"`
	State plugin.State `json:"state"`
}

func waitCommand() *cobra.Command {
	var (
		want    wanted
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "wait NAME --for=STATE",
		Short: "Wait until a plugin is in a state",
		Long: `Wait until a plugin is in a state, or has been in it since this command began.

It exits 0 then, 1 when the time is over, 4 when there is no such plugin or no
supervisor.`,
	}
	output := addOutput(cmd)
	settings := addPlace(cmd)
	onePlugin(cmd, settings)
	cmd.Flags().Var(&want, "for", "the `state`, such as running, stopped or crash-loop")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "wait no longer than this `time`")
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(stateNames(), cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if want.state == nil || timeout <= 0 {
			return exit(exitUsage, errors.New("--for must be given, and --timeout be positive (try --help)"))
		}
		cfg, _, err := settings.load(cmd)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		a := &awaitable{client: admin.DialRoot(cfg.Root, cfg.SocketPath()), name: args[0]}
		if err := a.begin(ctx); err != nil {
			return err
		}
		v, err := a.now(ctx)
		if err == nil && v.State != *want.state {
			err = a.reach(ctx, *want.state, func(plugin.Entry) error { return nil })
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return a.late(cmd.Context(), timeout)
		}
		if err != nil {
			return err
		}
		if *output == asJSON {
			return writeJSON(cmd.OutOrStdout(), reached{a.name, *want.state})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is %s\n", a.name, *want.state)
		return err
	}
	return cmd
}
