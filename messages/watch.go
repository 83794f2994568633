package messages

import (
	"time"

	"pluginsupervisor/plugin"
)

type (
	// Adopt orders the Watcher to watch plugins and to find their processes (EV-07).
	Adopt struct {
		Gen     uint64
		Targets []plugin.WatchTarget
	}
	// Adopted answers Adopt: one result a target, in order, or an error. Targets that
	// were not checked in time are missing at the end.
	Adopted struct {
		Gen      uint64
		At       time.Time
		Observed []plugin.Observed
		Err      error
	}
	// WatchHeartbeats sets the plugins whose heartbeats the Watcher follows.
	WatchHeartbeats struct{ Plugins []plugin.Plugin }
	// PluginExited says that a plugin's last process exited or, marked Late, holds
	// the cause of an exit that was reported before (EV-01, EV-10).
	PluginExited struct{ Exit plugin.Exit }
	// ProcessExited says that one process of a plugin exited and others are still
	// running (EV-23).
	ProcessExited struct{ Exit plugin.Exit }
	// HeartbeatLost says that the deadline of a heartbeat has passed (EV-06).
	HeartbeatLost struct{ Event plugin.HeartbeatEvent }
	// HeartbeatSeen says that a plugin has written a heartbeat.
	HeartbeatSeen struct{ Event plugin.HeartbeatEvent }
	// LockFreed says that another program has released a plugin's name lock (EV-21).
	LockFreed struct{ Name string }
	// RecordsChanged says that the plugin database has changed (EV-22).
	RecordsChanged struct{}
	// WatchFailed says that a source reports no events for now, and why; without an
	// error it has recovered.
	WatchFailed struct {
		What string
		Err  error
	}
	// Recorded holds a journal entry that was saved; the Coordinator publishes it.
	Recorded struct{ Entry plugin.Entry }
)
