// Package pluginkit implements the plugin contract for plugins written in Go.
// It imports the standard library only. Authors of shell plugins use plugin.sh
// in this folder, which follows the same rules and the same pid file.
//
// A plugin is a folder, PLUGIN_DIR, with a config.json and an executable. The
// supervisor calls the executable with one verb:
//
//	--status     exit 0: the plugin is running; anything else: it is not
//	--start      start the daemon, and return when it is ready
//	--stop       stop the daemon, and return when it has exited
//	--restart    --stop, then --start
//	--install    called once after the package was unpacked
//	--uninstall  called before removal; a failure prevents the removal
//	--upgrade    called in the new version's folder; PRE_PLUGIN_DIR is the old one
//
// What a reliable plugin needs, and what this package does:
//
//   - `--start` of a running plugin does nothing. Two starts at the same moment
//     start one daemon: a lock is held until the daemon is ready, also by the
//     daemon, so that a starter that is killed leaves no gap.
//   - The daemon has a session of its own and keeps neither pipe nor terminal
//     of its starter, so it outlives the starter. Its output goes to the log
//     file that the starter got, or is dropped.
//   - A pid alone is not proof. The pid file also holds the start time of the
//     process and the boot, so neither a stale file nor a reused pid is
//     mistaken for the daemon.
//   - A daemon writes its heartbeat file at regular times: Unix seconds,
//     replaced in one step, so that a reader never sees half of it.
//
// The main function of a plugin calls [Main].
package pluginkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Plugin holds the work of a plugin: exactly one of the two functions.
type Plugin struct {
	// Daemon is the work of a Persist plugin. It calls d.ReportReady when it is
	// ready and d.RunHeartbeat or d.WriteHeartbeat more often than the
	// heartbeatInterval of its config.json, and returns when ctx ends (SIGTERM).
	Daemon func(ctx context.Context, d *Daemon) error
	// Once is the work of a Once plugin. `--start` runs it in the plugin's folder dir
	// and waits until it returns; no process remains.
	Once func(ctx context.Context, dir string) error
}

// The exit codes of a verb.
const (
	exitOK     = 0
	exitFailed = 1 // also: not running
	exitUsage  = 2
)

// verbDaemon is not part of the contract: `--start` runs its own executable
// with it, and that process is the daemon.
const verbDaemon = "--daemon"

var (
	errNotRunning = errors.New("not running")
	errNoWork     = errors.New("the plugin needs either Daemon or Once")
)

// Main runs the verb that the process was called with, and exits.
func Main(p Plugin) {
	os.Exit(Run(context.Background(), p, os.Args[1:], os.Stderr))
}

// Run runs the verb args[0] and returns the exit code: 0 on success, 1 when the
// verb failed or the plugin is not running, 2 when the verb is unknown. Errors
// are written to stderr. It is for programs whose main function does more than call
// Main; such a program must call Run when it has one argument.
func Run(ctx context.Context, p Plugin, args []string, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(stderr, "usage: --status | --start | --stop | --restart | --install | --uninstall | --upgrade")
		return exitUsage
	}
	run := p.verb(args[0])
	if run == nil {
		fmt.Fprintf(stderr, "unknown verb: %s\n", args[0])
		return exitUsage
	}
	dir, err := findPluginDir()
	if err == nil && (p.Daemon == nil) == (p.Once == nil) {
		err = errNoWork
	}
	if err == nil {
		err = run(ctx, dir)
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", args[0], err)
		return exitFailed
	}
	return exitOK
}

// verb returns the function of a verb, or nil when there is none of that name.
func (p Plugin) verb(name string) func(ctx context.Context, dir string) error {
	switch name {
	case "--status":
		return p.checkStatus
	case "--start":
		return p.start
	case "--stop", "--uninstall":
		return p.stop
	case "--restart":
		return p.restart
	case "--upgrade":
		return p.upgrade
	case "--install":
		return func(context.Context, string) error { return nil }
	case verbDaemon:
		return p.runDaemon
	default:
		return nil
	}
}

// findPluginDir returns PLUGIN_DIR, or the executable's folder when an author
// calls the plugin by hand.
func findPluginDir() (string, error) {
	if dir := os.Getenv("PLUGIN_DIR"); dir != "" {
		return dir, nil
	}
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the plugin's folder: %w", err)
	}
	return filepath.Dir(exe), nil
}

func (p Plugin) checkStatus(_ context.Context, dir string) error {
	if p.Daemon == nil {
		return nil // an installed Once plugin is always healthy
	}
	if _, alive := readDaemon(dir); !alive {
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
	id, alive := readDaemon(dir)
	if !alive {
		return nil
	}
	return id.stopProcess(ctx, stopTimeout)
}

func (p Plugin) restart(ctx context.Context, dir string) error {
	if err := p.stop(ctx, dir); err != nil {
		return err
	}
	return p.start(ctx, dir)
}

// upgrade stops the daemon of the previous version and starts this one.
func (p Plugin) upgrade(ctx context.Context, dir string) error {
	if p.Daemon == nil {
		return nil
	}
	if old := os.Getenv("PRE_PLUGIN_DIR"); old != "" && old != dir {
		if err := p.stop(ctx, old); err != nil {
			return fmt.Errorf("stop the previous version: %w", err)
		}
	}
	return p.start(ctx, dir)
}
