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
		use: "upgrade NAME[@VERSION]", short: "Switch a plugin to another version", asksControlPlane: true,
		more: `
Without a VERSION, the newest version of the control plane is installed if it is
newer than the installed one.

The new version must run well for upgrade.prove. If it does worse than the old
version, the old one is restored and the new one is blocked for
upgrade.quarantine, unless an operator names it again.`,
		parse: func(cmd *cobra.Command, cfg config.Config, _ *view.Bar, arg string) (request, error) {
			if !strings.Contains(arg, "@") {
				return requestNewest(cmd, cfg, arg, true)
			}
			return requestVersion(arg)
		},
	}.build()
}

// request is a change of a plugin that an operator requests.
type request struct {
	change plugin.Change
	staged *install.Staged // its package, if that was inspected; else nil
}

// discardStaged removes the staged package, unless it was installed.
func (r request) discardStaged() error {
	if r.staged == nil {
		return nil
	}
	return r.staged.Discard()
}

// send sends the request to the supervisor. A package that was inspected is handed
// over with it, so that the same package is installed.
func (r request) send(ctx context.Context, client *admin.Client) (accepted string, err error) {
	o := r.change
	if r.staged != nil {
		if o.Staged, err = r.staged.HandOver(); err != nil {
			return "", err
		}
	}
	if accepted, err = client.RequestChange(ctx, o); err == nil && r.staged != nil {
		err = r.staged.Leave()
	}
	return accepted, err
}

// requestVersion returns the request for NAME@VERSION, where NAME may contain an @
// (SPEC 1).
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
		use: "rollback NAME", short: "Go back to a plugin's previous version",
		more: `
The replaced version is blocked for upgrade.quarantine, even if the control plane
assigns it, unless an operator names it again.`,
		parse: func(_ *cobra.Command, _ config.Config, _ *view.Bar, arg string) (request, error) {
			return request{change: plugin.Change{Kind: plugin.ChangeRollback, Name: arg, Origin: plugin.FromOperator}}, checkName(arg)
		},
	}.build()
}

func newRemoveCommand() *cobra.Command {
	return changeCommand{
		use: "remove NAME", short: "Remove a plugin from this host",
		more: `
The plugin is stopped and its --uninstall is run. If that fails, the plugin stays
installed and is started again.`,
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

// changeResult is the result of a change, as JSON output.
type changeResult struct {
	Accepted string `json:"accepted,omitempty"`
	Result   string `json:"result,omitempty"` // with --wait, or without a supervisor
	Failed   bool   `json:"failed,omitempty"`
}

// changeCommand is a command that changes the installed version of a plugin: by the
// supervisor or, if none runs, in this process under the same locks.
type changeCommand struct {
	use, short, more string
	asksControlPlane bool // the argument may need a request to the control plane
	// parse returns the request for the argument, or an upToDateError if there is
	// nothing to do.
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

If a supervisor runs, it makes the change, and this command exits when the request
is accepted, or with --wait when the change is finished. Otherwise this command
makes the change itself.

Exit status: 0 on success, 1 when the change is rejected or fails, 4 for no such
plugin.`,
		Args: checkArguments(cobra.ExactArgs(1)),
	}
	place := []string{"root", "admin.socket"}
	if c.asksControlPlane {
		place = append(place, controlPlaneKey)
	}
	output := addOutput(cmd)
	settings := addSettings(cmd, place...)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the change is finished")
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "with --wait: longest `time` to wait")
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
			defer fmt.Fprintf(cmd.ErrOrStderr(), "The supervisor makes the change: `supervisor status %s` shows its progress, --wait waits until it is finished.\n", wanted.change.Name)
		}
		return done.print(cmd, *output)
	}
	return cmd
}

// makeChange sends the request to the supervisor, or makes the change itself if
// none runs.
func makeChange(cmd *cobra.Command, cfg config.Config, r request, bar *view.Bar, wait bool, timeout time.Duration) (done changeResult, err error) {
	o := r.change
	w := &waiter{client: admin.DialRoot(cfg.Root, cfg.SocketPath()), name: o.Name}
	if err = w.skipPast(cmd.Context()); err == nil {
		done.Accepted, err = r.send(cmd.Context(), w.client)
	}
	switch {
	case errors.Is(err, admin.ErrSocketGone): // a supervisor runs: only it may make the change
		err = withExitNone(err)
	case errors.Is(err, admin.ErrNoSupervisor):
		done.Result, done.Failed, err = changeDirectly(cmd, cfg, r, bar)
	case err == nil && wait:
		if bar == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "supervisor: %s is accepted, waiting until it is finished\n", done.Accepted)
		}
		done.Result, done.Failed, err = w.waitForChange(cmd.Context(), o, bar, cfg.Upgrade.Prove, timeout)
	}
	return done, err
}

// print prints the result. A failed change is an error.
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
