package messages

import "pluginsupervisor/plugin"

type (
	// GetStatus asks for the state of the supervisor.
	GetStatus struct{}
	// Status answers it.
	Status struct{ Snapshot plugin.Snapshot }
)

// Commands of operators and of their programs; each is answered with Accepted or Rejected.
type (
	// StartPlugin ends an operator's stop and starts the plugin. With Force it does
	// not wait for the name lock (RS-11).
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
	// CancelChange cancels the change of a plugin that is in progress (UP-12).
	CancelChange struct{ Name string }
	// CheckUpdatesNow makes the update check due now.
	CheckUpdatesNow struct{}
	// EnqueueReport holds a status that a command could not deliver (CL-20).
	EnqueueReport struct{ Report plugin.LateReport }
	// Accepted says that a command will be carried out.
	Accepted struct{ What string }
	// Rejected says why a command is not carried out.
	Rejected struct {
		Why     string
		Unknown bool // no plugin of that name is installed
	}
)
