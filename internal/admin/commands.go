package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"pluginsupervisor/plugin"
)

// Command is a command of an operator for a plugin.
type Command string

// The commands.
const (
	CommandStart   Command = "start"
	CommandForce   Command = "force-start" // also while a program holds the plugin's name lock (RS-11)
	CommandStop    Command = "stop"
	CommandRestart Command = "restart"
	CommandCancel  Command = "cancel" // the running change of its version
)

// acceptedBody is the body of the answer to an accepted command, which is not complete
// yet.
type acceptedBody struct {
	Accepted string `json:"accepted"`
}

// serveCommand returns a handler that runs a command for the plugin named in the path.
func serveCommand(o Command, do func(ctx context.Context, name string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		writeAccepted(w, string(o)+" "+name, do(ctx, name))
	}
}

// changeRequest is the body of a change request.
type changeRequest struct {
	Version string `json:"version,omitempty"` // "": the previous one
	Package string `json:"package,omitempty"` // source of the package, see plugin.Change
	Staged  string `json:"staged,omitempty"`  // name of the package in staging, see plugin.Change
	Remove  bool   `json:"remove,omitempty"`  // remove the plugin; sent by clients of earlier versions
	// Kind is the kind of change; when absent, it follows from the other fields.
	Kind *plugin.ChangeKind `json:"kind,omitempty"`
}

// changeKind returns the requested kind of change.
func (w changeRequest) changeKind() plugin.ChangeKind {
	switch {
	case w.Kind != nil:
		return *w.Kind
	case w.Remove:
		return plugin.ChangeRemove
	case w.Version == "":
		return plugin.ChangeRollback
	default:
		return plugin.ChangeUpgrade
	}
}

// serveChange returns a handler that installs, upgrades, rolls back or removes the
// plugin named in the path.
func serveChange(s Supervisor) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var wanted changeRequest
		if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil {
			writeError(w, http.StatusBadRequest, "read the change request: "+err.Error())
			return
		}
		o := plugin.Change{
			Name: r.PathValue("name"), Version: wanted.Version, Package: wanted.Package, Staged: wanted.Staged, Kind: wanted.changeKind(), Origin: plugin.FromOperator,
		}
		err := plugin.CheckName(o.Name)
		if err == nil && o.Version != "" {
			err = plugin.CheckName(o.Version)
		}
		if err != nil {
			writeError(w, http.StatusBadRequest, err.Error())
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		writeAccepted(w, o.String()+" of "+o.Name, s.ChangePlugin(ctx, o))
	}
}

func writeAccepted(w http.ResponseWriter, what string, err error) {
	switch {
	case err == nil:
		writeJSON(w, http.StatusAccepted, acceptedBody{what})
	case errors.Is(err, plugin.ErrNoPlugin):
		writeError(w, http.StatusNotFound, err.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		writeNoAnswer(w, err)
	default:
		writeError(w, http.StatusConflict, err.Error())
	}
}
