package actors

import (
	"context"
	"time"

	"pluginsupervisor/plugin"
)

// The ports: what the actors need of the world, and no more. A port does its
// work and knows no policy; it is called off the actors' goroutines, must
// return soon after its context ends, and may be called by several at once.

// Lister tells what is installed.
type Lister interface {
	// List reads the plugin database. Damaged records are in the list's
	// Damaged, the error is for a database that could not be read at all (SC-02).
	List(ctx context.Context) (plugin.List, error)
}

// Manager works on plugins. The native one does it in this process, the
// external one drives an acs-plugin-manager program (SPEC 11).
type Manager interface {
	Lister
	// Probe runs `--status` of every given plugin, in parallel, each with its
	// own deadline, and hands over each result as soon as it is there, one at a
	// time. When it returns every result was handed over and no process is left. The
	// error is about the whole, as when an external manager's output could not
	// be read (SC-11); results handed over before it count.
	Probe(ctx context.Context, ps []plugin.Plugin, each func(plugin.Probe)) error
	// Check runs `--status` of one plugin (RS-06).
	Check(ctx context.Context, p plugin.Plugin) plugin.Probe
	// Start runs `--start`, with the plugin's own deadline from when its name
	// lock was free (RS-02, RS-08, RS-11). Cancelled, it returns when its
	// process tree is gone.
	Start(ctx context.Context, p plugin.Plugin) plugin.Outcome
	// ForceStart is Start that does not wait for the name lock; it runs `--status`
	// first (RS-11).
	ForceStart(ctx context.Context, p plugin.Plugin) plugin.Outcome
	// Stop runs `--stop` under the same rules.
	Stop(ctx context.Context, p plugin.Plugin) plugin.Outcome
	// Restart ends a plugin that hangs and starts it again: `--stop`, the end
	// of what is left, `--start`; an external manager's `--restart` (PL-17).
	Restart(ctx context.Context, p plugin.Plugin) plugin.Outcome
	// ConfirmStart runs `--status` after `--start` has ended, and again for a
	// while as long as something of the plugin lives and says no (RS-06).
	ConfirmStart(ctx context.Context, p plugin.Plugin) plugin.Probe
	// Fetch gets the package that a change needs, verified and unpacked beside
	// what is installed, and keeps it until Change or Discard is called with
	// the same change. It touches nothing that is installed and holds no lock
	// (UP-11). It returns nil at once where no package is needed, and an error
	// where the change cannot or may not be made.
	Fetch(ctx context.Context, c plugin.Change) error
	// Discard drops what was fetched for a change that will not be made.
	Discard(c plugin.Change)
	// Change makes the change, all of it, under the plugin's name lock (UP-06).
	// Interrupted, it puts the old version back (UP-12). Cancelled, it returns
	// soon, and a later process finishes or undoes it.
	Change(ctx context.Context, c plugin.Change, p plugin.ChangePermit) plugin.ChangeResult
}

// Watcher tells at once of what happens to plugins between the periods. It
// translates what the kernel tells into words, and decides nothing.
type Watcher interface {
	// Adopt begins to watch the processes of plugins, and returns in order what
	// runs of each, also of those that are watched already. What is started later
	// is watched without being asked for. Plugins that were not reached before ctx
	// ended are missing at the end.
	Adopt(ctx context.Context, ts []plugin.WatchTarget) []plugin.Observed
	// Follow reports each exit of what is watched, until ctx ends (EV-01). An
	// Exit whose cause becomes known later is reported again, marked Late. When
	// one process exits and others of the plugin live on, the Exit is marked
	// Partial (EV-23). The error says why no more exits can be reported.
	Follow(ctx context.Context, exited func(plugin.Exit)) error
	// FollowLeaves follows the plugins' cgroups, where there are any, until ctx
	// ends; Follow reports what it notices. The error says why it stopped.
	FollowLeaves(ctx context.Context) error
}

// HeartbeatEvents reports heartbeats when they arrive and when they are overdue (EV-06).
type HeartbeatEvents interface {
	// Watch sets which plugins' heartbeats are watched; it replaces the last set.
	Watch(ps []plugin.Plugin)
	// Follow reports until ctx ends. Heartbeats in quick succession are reported
	// as one.
	Follow(ctx context.Context, heard func(plugin.HeartbeatEvent)) error
}

// OtherPrograms notices what other programs do on the same installation.
type OtherPrograms interface {
	// WorkOn reports whether another program works on a plugin: it holds the
	// plugin's name lock, or did within that time.
	WorkOn(name string, within time.Duration) bool
	// FollowLocks reports each plugin whose name lock another program has let go,
	// until ctx ends. It does so at least once after WorkOn has reported true.
	FollowLocks(ctx context.Context, freed func(name string)) error
	// FollowRecords reports that the plugin database has changed, until ctx ends (EV-22).
	FollowRecords(ctx context.Context, changed func()) error
}

// Heartbeats reads the plugins' heartbeat files.
type Heartbeats interface {
	// Read returns one Beat a plugin, in order, and never blocks on a file (PL-05 to PL-10).
	Read(ctx context.Context, ps []plugin.Plugin, now time.Time) []plugin.Heartbeat
}

// ControlPlane makes one request a call, never a second try: the actors own
// retries. An answer other than 2xx is a *plugin.HTTPError.
type ControlPlane interface {
	Report(ctx context.Context, r plugin.Report) (plugin.Answer, error)
	CheckUpdates(ctx context.Context, ps []plugin.Plugin) (plugin.Updates, error)
	Send(ctx context.Context, e plugin.Event) error
}

// Memory is the supervisor's durable state. Save is called by the Coordinator
// alone, one batch a message, and is the one port that may block it (EV-11).
type Memory interface {
	Save(c plugin.Changes) error
}

// Meter counts what the supervisor measures of itself (EV-18). It must not block.
type Meter interface {
	Observe(m plugin.Measure, took time.Duration)
}

// Clock returns the time. Timers run on the monotonic clock; what is due is
// kept in wall time, so that a suspend or a step can be seen (TM-07).
type Clock interface {
	// Now returns the wall time.
	Now() time.Time
	// Moment returns the present time on both clocks: spans that must not
	// change when the wall clock is set are measured by it.
	Moment() plugin.Moment
}
