package messages

import "pluginsupervisor/plugin"

type (
	// GetStatus asks for everything the Coordinator knows.
	GetStatus struct{}
	// Status answers it.
	Status struct{ Snapshot plugin.Snapshot }
)

// Commands of operators, and what their programs leave; each is answered with Accepted or Rejected.
type (
	// StartPlugin ends an operator's stop and starts the plugin, with Force whatever
	// program holds its name lock (RS-11).
	StartPlugin struct {
		Name  string
		Force bool
	}
	// StopPlugin stops the plugin until an operator starts it (EV-14).
	StopPlugin struct{ Name string }
	// RestartPlugin stops and starts the plugin.
	RestartPlugin struct{ Name string }
	// ChangePlugin installs, upgrades, rolls back or removes a plugin.
	ChangePlugin struct{ Change plugin.Change }
	// CancelChange ends the change of a plugin that is under way (UP-12).
	CancelChange struct{ Name string }
	// CheckUpdatesNow makes the update check due now.
	CheckUpdatesNow struct{}
	// EnqueueReport hands over a status that a command could not deliver (CL-20).
	EnqueueReport struct{ Report plugin.LateReport }
	// Accepted says what will be done.
	Accepted struct{ What string }
	// Rejected says why nothing will be done.
	Rejected struct {
		Why     string
		Unknown bool // no plugin of that name is installed
	}
)
