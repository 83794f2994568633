// Package admin is the supervisor's local API: HTTP with JSON bodies over a
// unix socket, for the command line, and the metrics and health pages for
// monitoring, on an address of their own.
//
// The socket belongs to the supervisor's user, mode 0600, and each request is
// also checked by the peer's user id from the kernel. The pages of
// [MetricsHandler] are open to any client that reaches the address; they contain
// no secrets and change nothing.
//
// The current state comes from one plugin.Snapshot for each request, the past
// from the journal. The package keeps no copy of either.
//
//	GET  /v1/status                  the whole plugin.Snapshot
//	GET  /v1/plugins                 a List: the installed plugins
//	GET  /v1/events                  entries of the journal (plugin.Entry), one a line, the oldest first
//	       ?plugin=KEY                 only this plugin's
//	       &after=SEQ &since=TIME      only later ones
//	       &limit=N                    at most N, the newest
//	       &follow=1                   then each new entry, without an end
//	POST /v1/plugins/{name}/start    start it, also if an operator stopped it
//	POST /v1/plugins/{name}/force-start  the same, also while a program holds its name lock (RS-11)
//	POST /v1/plugins/{name}/stop     stop it until an operator starts it (EV-14)
//	POST /v1/plugins/{name}/restart  stop and start it
//	POST /v1/plugins/{name}/change   install another version, or remove it: {"version", "package", "staged", "remove"}
//
// An accepted command is answered 202 {"accepted": "…"} before it is complete. An
// unknown plugin is 404, a rejected command 409.
//
// An answer other than 2xx has the body {"error": "…"}.
package admin

import (
	"context"

	"pluginsupervisor/plugin"
)

// StatusSource returns the state of the supervisor and its plugins.
type StatusSource interface {
	Status(ctx context.Context) (plugin.Snapshot, error)
}

// Supervisor holds the operations that the API needs.
type Supervisor interface {
	StatusSource
	// Follow calls each for every entry of the journal after it was saved, until
	// ctx ends. A slow callback does not delay the supervisor.
	Follow(ctx context.Context, each func(plugin.Entry)) error
	// A command returns an error when it is rejected. The error wraps
	// plugin.ErrNoPlugin for an unknown plugin.
	StartPlugin(ctx context.Context, name string) error
	ForceStartPlugin(ctx context.Context, name string) error
	StopPlugin(ctx context.Context, name string) error
	RestartPlugin(ctx context.Context, name string) error
	// ChangePlugin installs, upgrades, rolls back or removes a plugin.
	ChangePlugin(ctx context.Context, o plugin.Change) error
	// CancelChange cancels the running change of a plugin (UP-12).
	CancelChange(ctx context.Context, name string) error
}

// List holds the installed plugins, in the order of the records.
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

// ListOf returns the List of a snapshot.
func ListOf(s plugin.Snapshot) List {
	list := List{Plugins: make([]Installed, 0, len(s.Plugins)), Damaged: s.Damaged}
	for _, v := range s.Plugins {
		list.Plugins = append(list.Plugins, Installed{v.Name, v.Version, v.Type, v.State, v.Duplicate})
	}
	return list
}
