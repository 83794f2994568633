package actors

import (
	"context"
	"time"

	"pluginsupervisor/plugin"
)

// The ports are the interfaces that the actors need. A port works and decides
// nothing. It is called outside of the actors' goroutines, must return soon after
// its context ends, and may be called concurrently.

// Lister lists the installed plugins.
type Lister interface {
	// List reads the plugin database. Damaged records are in the list's Damaged; the
	// error is for a database that cannot be read at all (SC-02).
	List(ctx context.Context) (plugin.List, error)
}

// Manager works on plugins. The native one does it in this process, the
// external one drives an acs-plugin-manager program (SPEC 11).
type Manager interface {
	Lister
	// Probe runs `--status` of the plugins, in parallel, each with its own deadline,
	// and calls each with every result as soon as it is known, one at a time. When it
	// returns, each was called for every result and no process is left. The error is
	// about the whole, such as unreadable output of an external manager (SC-11); the
	// results before it count.
	Probe(ctx context.Context, ps []plugin.Plugin, each func(plugin.Probe)) error
	// Check runs `--status` of one plugin (RS-06).
	Check(ctx context.Context, p plugin.Plugin) plugin.Probe
	// Start runs `--start`, with the plugin's own deadline from the time its name lock
	// was free (RS-02, RS-08, RS-11). When cancelled, it returns when its process tree
	// has exited.
	Start(ctx context.Context, p plugin.Plugin) plugin.Outcome
	// ForceStart is like Start, but does not wait for the name lock and runs
	// `--status` first (RS-11).
	ForceStart(ctx context.Context, p plugin.Plugin) plugin.Outcome
	// Stop runs `--stop`, with the rules of Start.
	Stop(ctx context.Context, p plugin.Plugin) plugin.Outcome
	// Restart restarts a plugin that hangs: `--stop`, kill of its remaining processes, `--start`;
	// or an external manager's `--restart` (PL-17).
	Restart(ctx context.Context, p plugin.Plugin) plugin.Outcome
	// ConfirmStart runs `--status` after `--start`, and repeats it for a while as long
	// as it does not say running and a process of the plugin exists (RS-06).
	ConfirmStart(ctx context.Context, p plugin.Plugin) plugin.Probe
	// Fetch fetches, verifies and unpacks the package of a change in a folder of its
	// own, and keeps it until Change or Discard is called with the same change. It
	// does not touch the installed version and holds no lock (UP-11). It returns nil
	// at once if no package is needed, and an error if the change cannot or must not
	// be made.
	Fetch(ctx context.Context, c plugin.Change) error
	// Discard deletes the fetched package of a change that will not be made.
	Discard(c plugin.Change)
	// Change makes the change under the plugin's name lock (UP-06). When interrupted,
	// it puts the old version back (UP-12). When cancelled, it returns soon, and a
	// later process finishes or undoes the change.
	Change(ctx context.Context, c plugin.Change, p plugin.ChangePermit) plugin.ChangeResult
}

// Watcher reports the exits of plugins as events. It decides nothing.
type Watcher interface {
	// Adopt watches the processes of plugins, and returns those of each plugin, in
	// order, also those that are watched already. Later starts are watched without
	// it. Plugins that were not checked before ctx ended are missing at the end.
	Adopt(ctx context.Context, ts []plugin.WatchTarget) []plugin.Observed
	// Follow reports each exit of a watched plugin, until ctx ends (EV-01). An Exit
	// whose cause becomes known later is reported again, marked Late. When one process
	// exits and others of the plugin are still running, the Exit is marked Partial
	// (EV-23). The error says why no more exits can be reported.
	Follow(ctx context.Context, exited func(plugin.Exit)) error
	// FollowLeaves follows the plugins' cgroups, if there are any, until ctx ends.
	// Follow reports the exits that it detects. The error says why it stopped.
	FollowLeaves(ctx context.Context) error
}

// HeartbeatEvents reports heartbeats when they arrive and when they are overdue (EV-06).
type HeartbeatEvents interface {
	// Watch sets the plugins whose heartbeats are watched; it replaces the last set.
	Watch(ps []plugin.Plugin)
	// Follow reports heartbeats until ctx ends. Several in quick succession are
	// reported as one.
	Follow(ctx context.Context, received func(plugin.HeartbeatEvent)) error
}

// OtherPrograms observes other programs that work on the same installation.
type OtherPrograms interface {
	// WorkOn reports whether another program holds the plugin's name lock, or did
	// within that time.
	WorkOn(name string, within time.Duration) bool
	// FollowLocks reports each plugin whose name lock another program has released,
	// until ctx ends. It does so at least once after WorkOn has returned true.
	FollowLocks(ctx context.Context, freed func(name string)) error
	// FollowRecords reports that the plugin database has changed, until ctx ends (EV-22).
	FollowRecords(ctx context.Context, changed func()) error
}

// Heartbeats reads the plugins' heartbeat files.
type Heartbeats interface {
	// Read returns one Heartbeat a plugin, in order, and never blocks on a file (PL-05 to PL-10).
	Read(ctx context.Context, ps []plugin.Plugin, now time.Time) []plugin.Heartbeat
}

// ControlPlane sends requests to the control plane: one a call, without retries,
// which the actors make. An answer other than 2xx is a *plugin.HTTPError.
type ControlPlane interface {
	Report(ctx context.Context, r plugin.Report) (plugin.Answer, error)
	CheckUpdates(ctx context.Context, ps []plugin.Plugin) (plugin.Updates, error)
	Send(ctx context.Context, e plugin.Event) error
}

// Memory is the supervisor's durable state. Only the Coordinator calls Save, once a
// message. It is the only port that may block the Coordinator (EV-11).
type Memory interface {
	Save(c plugin.Changes) error
}

// Meter records durations that the supervisor measures of itself (EV-18). It must not block.
type Meter interface {
	Observe(m plugin.Measure, took time.Duration)
}

// Clock returns the time. Timers run on the monotonic clock; due times are wall
// time, so that a suspend or a step can be detected (TM-07).
type Clock interface {
	// Now returns the wall time.
	Now() time.Time
	// Moment returns the current time on both clocks. It is for durations that must
	// not change when the wall clock is set.
	Moment() plugin.Moment
}
