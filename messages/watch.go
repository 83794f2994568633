package messages

import (
	"time"

	"pluginsupervisor/plugin"
)

type (
	// Adopt orders the Watcher to begin to watch plugins, and to tell what runs of them (EV-07).
	Adopt struct {
		Gen     uint64
		Targets []plugin.WatchTarget
	}
	// Adopted answers Adopt: one sighting a target, in order, or why there are
	// none. Targets that were not reached in time are missing at the end.
	Adopted struct {
		Gen      uint64
		At       time.Time
		Observed []plugin.Observed
		Err      error
	}
	// WatchHeartbeats sets whose heartbeats the Watcher follows.
	WatchHeartbeats struct{ Plugins []plugin.Plugin }
	// PluginExited says that a plugin's last process ended, or, marked Late,
	// how one ended that was told before (EV-01, EV-10).
	PluginExited struct{ Exit plugin.Exit }
	// ProcessExited says that one process of a plugin ended, and that others live
	// on (EV-23).
	ProcessExited struct{ Exit plugin.Exit }
	// HeartbeatLost says that a heartbeat's deadline passed (EV-06).
	HeartbeatLost struct{ Event plugin.HeartbeatEvent }
	// HeartbeatSeen says that a plugin beat.
	HeartbeatSeen struct{ Event plugin.HeartbeatEvent }
	// LockFreed says that another program has let go of a plugin's name lock (EV-21).
	LockFreed struct{ Name string }
	// RecordsChanged says that the plugin database has changed (EV-22).
	RecordsChanged struct{}
	// WatchFailed says that nothing is told by event for now, and why; without
	// an error it works again.
	WatchFailed struct {
		What string
		Err  error
	}
	// Recorded is a journal entry that was saved; the Coordinator publishes it.
	Recorded struct{ Entry plugin.Entry }
)
