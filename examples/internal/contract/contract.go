// Package contract is the plugin contract in Go, for authors of plugins to use
// or to copy: what a supervisor may ask of a plugin, and how a plugin answers
// so that it can be trusted at any moment, after any crash.
//
// A plugin is a folder, PLUGIN_DIR, with a config.json and an executable. The
// executable is called with one verb:
//
//	--status     exit 0: the plugin runs; anything else: it does not
//	--start      start the daemon, and return when it is up
//	--stop       end it, and return when it is gone
//	--restart    --stop, then --start
//	--install    called once after unpacking
//	--uninstall  called before removal; anything but exit 0 forbids it
//	--upgrade    called in the new version's folder, PRE_PLUGIN_DIR naming the old
//
// What makes a plugin a good one, and what this package does for it:
//
//   - `--start` of a plugin that runs already does nothing. Two that are called
//     at the same moment start one daemon: a lock is held from before the look
//     until the daemon is up, by the daemon too, so that killing its starter
//     opens no gap.
//   - The daemon is its own session, holds no pipe and no terminal of its
//     starter, and so outlives it. What it prints goes to the log file it was
//     given, or nowhere.
//   - A pid alone is never believed. The pid file says also when that process
//     started and in which boot, so a stale file, or a number the kernel gave
//     to somebody else, is not mistaken for the daemon.
//   - A daemon tells that it is alive by its heartbeat file: Unix seconds,
//     replaced in one step so that no reader ever sees half of it.
//
// [Main] is all that a plugin's main function calls.
package contract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Plugin is what an author writes: one of the two functions.
type Plugin struct {
	// Daemon is the work of a Persist plugin. It calls d.Ready when it is up,
	// d.Beat about once a second, and returns when ctx ends (SIGTERM).
	Daemon func(ctx context.Context, d *Daemon) error
	// Once is the work of a Once plugin, done by `--start`; nothing stays behind.
	Once func(ctx context.Context, dir string) error
}

// The exit codes of a verb.
const (
	exitOK     = 0
	exitFailed = 1 // also: not running
	exitUsage  = 2
)

// verbDaemon is no verb of the contract: `--start` runs its own executable
// with it, and that process is the daemon.
const verbDaemon = "--daemon"

var errNotRunning = errors.New("not running")

// Main carries out the verb the process was called with and ends it.
func Main(p Plugin) {
	os.Exit(run(context.Background(), p, os.Args[1:], os.Stderr))
}

func run(ctx context.Context, p Plugin, args []string, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(stderr, "usage: --status | --start | --stop | --restart | --install | --uninstall | --upgrade")
		return exitUsage
	}
	dir, err := pluginDir()
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	var verb func(context.Context, string) error
	switch args[0] {
	case "--status":
		verb = p.status
	case "--start":
		verb = p.start
	case "--stop", "--uninstall":
		verb = p.stop
	case "--restart":
		verb = p.restart
	case "--upgrade":
		verb = p.upgrade
	case "--install":
		verb = func(context.Context, string) error { return nil }
	case verbDaemon:
		verb = p.daemon
	default:
		fmt.Fprintf(stderr, "no such verb: %s\n", args[0])
		return exitUsage
	}
	if err := verb(ctx, dir); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", args[0], err)
		return exitFailed
	}
	return exitOK
}

// pluginDir is PLUGIN_DIR, or for a call by hand the executable's own folder.
func pluginDir() (string, error) {
	if dir := os.Getenv("PLUGIN_DIR"); dir != "" {
		return dir, nil
	}
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the plugin's folder: %w", err)
	}
	return filepath.Dir(exe), nil
}

func (p Plugin) status(_ context.Context, dir string) error {
	if p.Daemon == nil {
		return nil // installed is all there is to a Once plugin
	}
	if _, alive := recorded(dir); !alive {
		return errNotRunning
	}
	return nil
}

func (p Plugin) start(ctx context.Context, dir string) error {
	if p.Daemon == nil {
		return p.Once(ctx, dir)
	}
	return startDaemon(dir)
}

func (p Plugin) stop(ctx context.Context, dir string) error {
	id, alive := recorded(dir)
	if !alive {
		return nil
	}
	return id.end(ctx, stopPatience)
}

func (p Plugin) restart(ctx context.Context, dir string) error {
	if err := p.stop(ctx, dir); err != nil {
		return err
	}
	return p.start(ctx, dir)
}

// upgrade ends what is left of the version before, and starts this one.
func (p Plugin) upgrade(ctx context.Context, dir string) error {
	if p.Daemon == nil {
		return nil
	}
	if old := os.Getenv("PRE_PLUGIN_DIR"); old != "" && old != dir {
		if err := p.stop(ctx, old); err != nil {
			return fmt.Errorf("stop the version before: %w", err)
		}
	}
	return p.start(ctx, dir)
}
