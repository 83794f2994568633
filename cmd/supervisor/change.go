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
	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/heartbeat"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/state"
	"pluginsupervisor/internal/supply"
	"pluginsupervisor/plugin"
)

func upgradeCommand() *cobra.Command {
	return changeCommand("upgrade NAME@VERSION", "Make another version of a plugin the one that runs", `
The new version has to prove itself for upgrade.prove. If it is worse than the
old one was, that comes back.`, func(_ *cobra.Command, _ config.Config, arg string) (plugin.Offer, error) { return versionOffer(arg) })
}

// versionOffer is an operator's wish for NAME@VERSION.
func versionOffer(arg string) (plugin.Offer, error) {
	name, version, ok := strings.Cut(arg, "@")
	if !ok {
		return plugin.Offer{}, exit(exitUsage, fmt.Errorf("%q names no version: NAME@VERSION is needed (try --help)", arg))
	}
	if err := errors.Join(plugin.CheckName(name), plugin.CheckName(version)); err != nil {
		return plugin.Offer{}, exit(exitUsage, err)
	}
	return plugin.Offer{Name: name, Version: version, Force: true}, nil
}

func rollbackCommand() *cobra.Command {
	return changeCommand("rollback NAME", "Make the version before the one that runs", `
The version that is left is not installed again for upgrade.quarantine, whatever
the control plane offers, unless an operator says so.`, func(_ *cobra.Command, _ config.Config, arg string) (plugin.Offer, error) {
		return plugin.Offer{Name: arg, Force: true}, checkName(arg)
	})
}

func removeCommand() *cobra.Command {
	return changeCommand("remove NAME", "Remove a plugin from this host", `
It is stopped, and asked by --uninstall; if it refuses, it stays and is started
again.`, func(_ *cobra.Command, _ config.Config, arg string) (plugin.Offer, error) {
		return plugin.Offer{Name: arg, Remove: true, Force: true}, checkName(arg)
	})
}

func checkName(arg string) error {
	if err := plugin.CheckName(arg); err != nil {
		return exit(exitUsage, err)
	}
	return nil
}

// changed is how a change ended, for programs.
type changed struct {
	Accepted string `json:"accepted,omitempty"`
	Result   string `json:"result,omitempty"` // with --wait, or without a supervisor
	Failed   bool   `json:"failed,omitempty"`
}

// changeCommand changes which version of a plugin is on the host: by the
// supervisor, or without one by itself, under the same locks.
func changeCommand(use, short, more string, wanted func(cmd *cobra.Command, cfg config.Config, arg string) (plugin.Offer, error)) *cobra.Command {
	var (
		wait    bool
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Long: short + `.
` + more + `

Done by the supervisor, if one runs: then it exits 0 when that has accepted the
order, and with --wait when it is done. Without one it is done at once. It exits
1 when it was refused or failed, 4 when there is no such plugin.`,
		Args: arguments(cobra.ExactArgs(1)),
	}
	output := addOutput(cmd)
	settings := addPlace(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is done")
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "with --wait: no longer than this `time`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if timeout <= 0 {
			return exit(exitUsage, errors.New("--timeout must be positive (try --help)"))
		}
		cfg, _, err := settings.load(cmd)
		if err != nil {
			return err
		}
		offer, err := wanted(cmd, cfg, args[0])
		if err != nil {
			return err
		}
		var done changed
		a := &awaitable{client: admin.Dial(cfg.SocketPath()), name: offer.Name}
		if err = a.begin(cmd.Context()); err == nil {
			done.Accepted, err = a.client.Change(cmd.Context(), offer)
		}
		switch {
		case errors.Is(err, admin.ErrNoSupervisor):
			done.Result, done.Failed, err = changeDirectly(cmd, cfg, offer)
		case err == nil && wait:
			done.Result, done.Failed, err = a.changed(cmd.Context(), timeout)
		}
		if err != nil {
			return noneOf(err)
		}
		return done.tell(cmd, *output)
	}
	return cmd
}

func (c changed) tell(cmd *cobra.Command, as format) error {
	out := cmd.OutOrStdout()
	switch {
	case as == asJSON:
		if err := writeJSON(out, c); err != nil {
			return err
		}
	case c.Failed:
		return exit(exitFailed, errors.New(view.Line(c.Result)))
	case c.Result != "":
		fmt.Fprintln(out, view.Line(c.Result))
	default:
		fmt.Fprintln(out, "accepted:", c.Accepted)
	}
	if c.Failed {
		return exit(exitFailed, nil)
	}
	return nil
}

// changed waits for the end of the change, and tells how it was.
func (a *awaitable) changed(ctx context.Context, within time.Duration) (result string, failed bool, err error) {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		err := a.client.Follow(limited, state.Filter{Plugin: a.name, After: a.after}, func(e plugin.Entry) error {
			a.after = e.Seq
			if e.Kind != plugin.EntryUpgrade {
				return nil
			}
			result, failed = a.name+": "+e.Cause, e.Failed
			return errReached
		})
		switch {
		case errors.Is(err, errReached):
			return result, failed, nil
		case limited.Err() != nil && ctx.Err() == nil:
			return "", false, fmt.Errorf("not done within %s, it goes on", within)
		case !errors.Is(err, admin.ErrNoSupervisor):
			return "", false, err
		}
		pause(limited, againAfter)
	}
}

// changeDirectly does it in this process: no supervisor runs.
func changeDirectly(cmd *cobra.Command, cfg config.Config, o plugin.Offer) (result string, failed bool, err error) {
	if cfg.Manager != config.ManagerNative {
		return "", false, errors.New("no supervisor is running, and plugins are managed by " + cfg.Manager)
	}
	log, err := newLogger(cfg.Log, cmd.ErrOrStderr())
	if err != nil {
		return "", false, err
	}
	if _, err := prepareRoot(cfg.Root); err != nil {
		return "", false, err
	}
	plane, err := control.New(supply.Plane(cfg), log)
	if err != nil {
		return "", false, err
	}
	defer plane.Close()
	packages, err := supply.New(cfg, plane, log)
	if err != nil {
		return "", false, err
	}
	defer packages.Close()
	packages.Progress = progressOn(cmd.ErrOrStderr())
	tracker, _, err := track(cfg, log)
	if err != nil {
		return "", false, err
	}
	defer func() { err = errors.Join(err, tracker.Close()) }()
	runner := process.NewRunner(process.Options{Grace: cfg.Restart.KillGrace, Tracker: tracker, Log: log})
	manager, _ := manager(cfg, runner, tracker, nil, heartbeat.New(cfg.Root), packages, log)
	ctx, stop := untilTold(cmd.Context(), log)
	defer stop()
	up := manager.Upgrade(ctx, o)
	switch {
	case up.Err != nil:
		return o.Name + ": " + up.Cause(), true, nil
	case o.Remove:
		return o.Name + " is removed", false, nil
	default:
		return fmt.Sprintf("%s: %s", o.Name, up.Change()), false, nil
	}
}
