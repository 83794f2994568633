package plugincheck

import (
	"context"

	"pluginsupervisor/plugin"
)

// Rule is one rule of the plugin contract.
type Rule struct {
	ID    string
	Title string // the statement that is true when the rule passes

	needs []string      // rules that must have passed, where they apply
	types []plugin.Type // of plugins that the rule is about; none: all
	check func(ctx context.Context, s *subject) (verdict, error)
}

// Rules returns the rules in the order in which they are checked: they are the
// stages from the installation of the plugin to its removal.
func Rules() []Rule {
	var (
		run     = []plugin.Type{plugin.Persist, plugin.Once}
		persist = []plugin.Type{plugin.Persist}
		started = []string{"status-before", "start"}
		runs    = append(started, "daemonize")
	)
	return []Rule{
		{"package", "hosts accept the package", nil, nil, checkPackage},
		{"interpreter", "the interpreters of its scripts exist here", []string{"package"}, nil, checkInterpreters},
		{"install", "it can be installed, and --install exits 0", []string{"interpreter"}, run, checkInstall},
		{"status-before", "--status reports not running before the start", []string{"install"}, persist, checkStatusBefore},
		{"start", "--start returns in time and exits 0", []string{"install"}, run, checkStart},
		{"status-after", "--status reports running as soon as --start has returned", started, persist, checkStatusAfter},
		{"daemonize", "--start leaves a daemon with a session (type Once: none)", []string{"start"}, run, checkDaemon},
		{"start-twice", "a second --start exits 0 and starts nothing", []string{"daemonize"}, persist, checkStartTwice},
		{"heartbeat", "heartbeats come in time, with the date of now", []string{"daemonize"}, persist, checkHeartbeat},
		{"log", "output goes to the log, where it is bounded", []string{"daemonize"}, persist, checkLog},
		{"stop", "--stop exits 0 and leaves no process", []string{"start"}, persist, checkStop},
		{"status-stopped", "--status reports not running after --stop", started, persist, checkStatusStopped},
		{"status-killed", "--status reports not running after kill -9", runs, persist, checkStatusKilled},
		{"start-killed", "--start starts it after kill -9", runs, persist, checkStartKilled},
		{"restart", "--restart exits 0 and replaces its processes", append(runs, "stop"), persist, checkRestart},
		{"inherited-files", "the daemon closes the files of its starter", runs, persist, checkInheritedFiles},
		{"starter-death", "the daemon survives the death of its starter", []string{"inherited-files"}, persist, checkStarterDeath},
		{"upgrade", "an upgrade from itself succeeds, and the new version runs", runs, persist, checkUpgrade},
		{"uninstall", "it can be removed: it stops, and --uninstall exits 0", started, run, checkUninstall},
	}
}
