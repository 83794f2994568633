// Package admin is the supervisor's local API: HTTP with JSON bodies over a
// unix socket, for the command line, and the metrics and health pages for
// monitoring, on an address of their own.
//
// The socket belongs to the supervisor's user, mode 0600, and every request is
// judged once more by who the kernel says is at the other end. The pages of
// [MetricsHandler] tell anybody who reaches the address; they tell no secrets
// and change nothing.
//
// Everything is computed from one plugin.Snapshot at the moment of the
// question: there is no second truth here that could grow stale.
//
//	GET /v1/status    the whole plugin.Snapshot
//	GET /v1/plugins   a List: what is installed
//
// An answer other than 2xx has the body {"error": "…"}.
package admin

import (
	"context"

	"pluginsupervisor/plugin"
)

// Supervisor is what the API needs to know of the supervisor.
type Supervisor interface {
	Status(ctx context.Context) (plugin.Snapshot, error)
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
