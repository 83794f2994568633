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
	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/owner"
	"pluginsupervisor/plugin"
)

func newUpgradeCommand() *cobra.Command {
	return changeCommand{
		use: "upgrade NAME[@VERSION]", short: "Make another version of a plugin the one that runs", asksControlPlane: true,
		more: `
Without a VERSION it is the newest that the control plane has, if that is newer
than the one on this host.

The new version has to prove itself for upgrade.prove. If it is worse than the
old one was, that comes back, and the new one is refused for upgrade.quarantine,
unless an operator names it again.`,
		parse: func(cmd *cobra.Command, cfg config.Config, _ *view.Bar, arg string) (request, error) {
			if !strings.Contains(arg, "@") {
				return requestNewest(cmd, cfg, arg, true)
			}
			return requestVersion(arg)
		},
	}.build()
}

// request is what an operator wants of a plugin.
type request struct {
	change plugin.Change
	staged *install.Staged // its package, where that had to be looked into; nil: it had not
}

// discardStaged removes the package, unless it was put in place.
func (w request) discardStaged() error {
	if w.staged == nil {
		return nil
	}
	return w.staged.Discard()
}

// send has the supervisor do it. A package that was looked into is handed over
// with the order, so that nothing can become of it before it is installed.
func (w request) send(ctx context.Context, client *admin.Client) (accepted string, err error) {
	o := w.change
	if w.staged != nil {
		if o.Staged, err = w.staged.HandOver(); err != nil {
			return "", err
		}
	}
	if accepted, err = client.RequestChange(ctx, o); err == nil && w.staged != nil {
		err = w.staged.Leave()
	}
	return accepted, err
}

// requestVersion is an operator's wish for NAME@VERSION, where only NAME may hold a
// further @ (SPEC 1).
func requestVersion(arg string) (request, error) {
	at := strings.LastIndexByte(arg, '@')
	name, version := arg[:at], arg[at+1:]
	if err := errors.Join(plugin.CheckName(name), plugin.CheckName(version)); err != nil {
		return request{}, withExitCode(exitUsage, err)
	}
	return request{change: plugin.Change{Name: name, Version: version, Origin: plugin.FromOperator}}, nil
}

func newRollbackCommand() *cobra.Command {
	return changeCommand{
		use: "rollback NAME", short: "Make the version before the one that runs",
		more: `
The version that is left is not installed again for upgrade.quarantine, whatever
the control plane offers, unless an operator says so.`,
		parse: func(_ *cobra.Command, _ config.Config, _ *view.Bar, arg string) (request, error) {
			return request{change: plugin.Change{Kind: plugin.ChangeRollback, Name: arg, Origin: plugin.FromOperator}}, checkName(arg)
		},
	}.build()
}

func newRemoveCommand() *cobra.Command {
	return changeCommand{
		use: "remove NAME", short: "Remove a plugin from this host",
		more: `
It is stopped, and asked by --uninstall; if it refuses, it stays and is started
again.`,
		parse: func(_ *cobra.Command, _ config.Config, _ *view.Bar, arg string) (request, error) {
			return request{change: plugin.Change{Name: arg, Kind: plugin.ChangeRemove, Origin: plugin.FromOperator}}, checkName(arg)
		},
	}.build()
}

func checkName(arg string) error {
	if err := plugin.CheckName(arg); err != nil {
		return withExitCode(exitUsage, err)
	}
	return nil
}

// changeResult is how a change ended, for programs.
type changeResult struct {
	Accepted string `json:"accepted,omitempty"`
	Result   string `json:"result,omitempty"` // with --wait, or without a supervisor
	Failed   bool   `json:"failed,omitempty"`
}

// changeCommand is a command that changes which version of a plugin is on the host:
// by the supervisor, or without one by itself, under the same locks.
type changeCommand struct {
	use, short, more string
	asksControlPlane bool // the control plane, to know what is wanted
	// parse is what the argument comes to. It is errNewest if there is nothing to do.
	parse func(cmd *cobra.Command, cfg config.Config, bar *view.Bar, arg string) (request, error)
}

func (c changeCommand) build() *cobra.Command {
	var (
		wait    bool
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   c.use,
		Short: c.short,
		Long: c.short + `.
` + c.more + `

Done by the supervisor, if one runs: then it exits 0 when that has accepted the
order, and with --wait when it is done. Without one it is done at once. It exits
1 when it was refused or failed, 4 when there is no such plugin.`,
		Args: checkArguments(cobra.ExactArgs(1)),
	}
	place := []string{"root", "admin.socket"}
	if c.asksControlPlane {
		place = append(place, controlPlaneKey)
	}
	output := addOutput(cmd)
	settings := addSettings(cmd, place...)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is done")
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "with --wait: no longer than this `time`")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if timeout <= 0 {
			return withExitCode(exitUsage, errors.New("--timeout must be positive (try --help)"))
		}
		cfg, _, err := settings.loadConfig(cmd)
		if err != nil {
			return err
		}
		if err := owner.BecomeOf(cfg.Root); err != nil {
			return err
		}
		bar := view.NewBar(cmd.ErrOrStderr())
		defer bar.Clear()
		wanted, err := c.parse(cmd, cfg, bar, args[0])
		if nothing := (upToDateError{}); errors.As(err, &nothing) {
			return changeResult{Result: nothing.text}.print(cmd, *output)
		}
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, wanted.discardStaged()) }()
		done, err := makeChange(cmd, cfg, wanted, bar, wait, timeout)
		bar.Clear()
		if err != nil {
			return withExitNone(err)
		}
		if *output == asText && done.Result == "" && bar != nil {
			defer fmt.Fprintf(cmd.ErrOrStderr(), "It goes on by itself: `supervisor status %s` shows how, --wait waits.\n", wanted.change.Name)
		}
		return done.print(cmd, *output)
	}
	return cmd
}

// makeChange has the supervisor do it, or does it.
func makeChange(cmd *cobra.Command, cfg config.Config, w request, bar *view.Bar, wait bool, timeout time.Duration) (done changeResult, err error) {
	o := w.change
	a := &waiter{client: admin.DialRoot(cfg.Root, cfg.SocketPath()), name: o.Name}
	if err = a.skipPast(cmd.Context()); err == nil {
		done.Accepted, err = w.send(cmd.Context(), a.client)
	}
	switch {
	case errors.Is(err, admin.ErrSocketGone): // a supervisor runs, so it has to do it
		err = withExitNone(err)
	case errors.Is(err, admin.ErrNoSupervisor):
		done.Result, done.Failed, err = changeDirectly(cmd, cfg, w, bar)
	case err == nil && wait:
		if bar == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "supervisor: %s is accepted, waiting until it is done\n", done.Accepted)
		}
		done.Result, done.Failed, err = a.waitForChange(cmd.Context(), o, bar, cfg.Upgrade.Prove, timeout)
	}
	return done, err
}

func (c changeResult) print(cmd *cobra.Command, as format) error {
	out := cmd.OutOrStdout()
	switch {
	case as == asJSON:
		if err := writeJSON(out, c); err != nil {
			return err
		}
	case c.Failed:
		return withExitCode(exitFailed, errors.New(view.CleanLine(c.Result)))
	case c.Result != "":
		fmt.Fprintln(out, view.CleanLine(c.Result))
	default:
		fmt.Fprintln(out, "accepted:", c.Accepted)
	}
	if c.Failed {
		return withExitCode(exitFailed, nil)
	}
	return nil
}
