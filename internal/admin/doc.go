// Package admin is the supervisor's local API: HTTP with JSON bodies over a
// unix socket, for the command line, and the metrics and health pages for
// monitoring, on an address of their own.
//
// The socket belongs to the supervisor's user, mode 0600, and every request is
// judged once more by who the kernel says is at the other end. The pages of
// [MetricsHandler] tell anybody who reaches the address; they tell no secrets
// and change nothing.
//
// What is now is computed from one plugin.Snapshot at the moment of the
// question, and what was is read from the journal: there is no second truth
// here that could grow stale.
//
//	GET  /v1/status                  the whole plugin.Snapshot
//	GET  /v1/plugins                 a List: what is installed
//	GET  /v1/events                  plugin.Entry of the journal, one a line, the oldest first
//	       ?plugin=KEY                 only this plugin's
//	       &after=SEQ &since=TIME      only later ones
//	       &limit=N                    at most so many, the newest
//	       &follow=1                   and then each that comes, without an end
//	POST /v1/plugins/{name}/start    start it, also if an operator stopped it
//	POST /v1/plugins/{name}/force-start  the same, whatever program holds its name lock (RS-11)
//	POST /v1/plugins/{name}/stop     stop it until an operator starts it (EV-14)
//	POST /v1/plugins/{name}/restart  stop and start it
//	POST /v1/plugins/{name}/change   have another version of it, or none: {"version", "package", "staged", "remove"}
//
// An order that is accepted is answered 202 {"accepted": "…"}: it will be
// done. An unknown plugin is 404, an order that cannot be carried out 409.
//
// An answer other than 2xx has the body {"error": "…"}.
package admin

import (
	"context"

	"pluginsupervisor/plugin"
)

// Observed tells how the supervisor and its plugins are.
type Observed interface {
	Status(ctx context.Context) (plugin.Snapshot, error)
}

// Supervisor is what the API needs of the supervisor.
type Supervisor interface {
	Observed
	// Follow tells each entry of the journal after it was saved, until ctx
	// ends. It is not held up by who is told.
	Follow(ctx context.Context, each func(plugin.Entry)) error
	// The orders say why they were rejected; the error wraps
	// plugin.ErrNoPlugin when there is no such plugin.
	StartPlugin(ctx context.Context, name string) error
	ForceStartPlugin(ctx context.Context, name string) error
	StopPlugin(ctx context.Context, name string) error
	RestartPlugin(ctx context.Context, name string) error
	// ChangePlugin installs, upgrades, rolls back or removes one.
	ChangePlugin(ctx context.Context, o plugin.Change) error
	// CancelChange ends the change of a plugin that is under way (UP-12).
	CancelChange(ctx context.Context, name string) error
}

// List is what is installed, in the order of the records.
type List struct {
	Plugins []Installed     `json:"plugins"`
	Damaged []plugin.Damage `json:"damaged,omitempty"`
}

// Installed is one plugin of a List.
type Installed struct {
	Name      string       `json:"name"`
	Version   string       `json:"version"`
	Type      plugin.Type  `json:"type"`
	State     plugin.State `json:"state"`
	Duplicate bool         `json:"duplicate,omitempty"` // not the first of its name (ST-10)
}

// ListOf is the List of a snapshot.
func ListOf(s plugin.Snapshot) List {
	list := List{Plugins: make([]Installed, 0, len(s.Plugins)), Damaged: s.Damaged}
	for _, v := range s.Plugins {
		list.Plugins = append(list.Plugins, Installed{v.Name, v.Version, v.Type, v.State, v.Duplicate})
	}
	return list
}
