package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"pluginsupervisor/plugin"
)

// Order is what an operator may have done to a plugin.
type Order string

// The orders.
const (
	OrderStart   Order = "start"
	OrderForce   Order = "force-start" // whatever program holds the plugin's name lock (RS-11)
	OrderStop    Order = "stop"
	OrderRestart Order = "restart"
	OrderCancel  Order = "cancel" // the change of its version that is under way
)

// accepted is the body of an order's good answer: it will be done, it is not
// done yet.
type accepted struct {
	Accepted string `json:"accepted"`
}

// order has something done to the plugin that the path names.
func order(o Order, do func(ctx context.Context, name string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
		defer cancel()
		replyOrder(w, string(o)+" "+name, do(ctx, name))
	}
}

// wish is the body of a change: which version is to be on the host.
type wish struct {
	Version string `json:"version,omitempty"` // "": the one before
	Package string `json:"package,omitempty"` // where it is, see plugin.Change
	Staged  string `json:"staged,omitempty"`  // name in staging of what a command has handed over, see plugin.Change
	Remove  bool   `json:"remove,omitempty"`  // none is; clients of earlier versions say it so
	// Kind is the kind of change; absent, it follows from the other fields.
	Kind *plugin.ChangeKind `json:"kind,omitempty"`
}

// kind returns the kind of change that is wanted.
func (w wish) kind() plugin.ChangeKind {
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

// change has the plugin that the path names installed, upgraded, rolled back or removed.
func change(s Supervisor) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var wanted wish
		if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil {
			fail(w, http.StatusBadRequest, "read the wish: "+err.Error())
			return
		}
		o := plugin.Change{
			Name: r.PathValue("name"), Version: wanted.Version, Package: wanted.Package, Staged: wanted.Staged, Kind: wanted.kind(), Origin: plugin.FromOperator,
		}
		err := plugin.CheckName(o.Name)
		if err == nil && o.Version != "" {
			err = plugin.CheckName(o.Version)
		}
		if err != nil {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
		defer cancel()
		replyOrder(w, o.String()+" of "+o.Name, s.ChangePlugin(ctx, o))
	}
}

func replyOrder(w http.ResponseWriter, what string, err error) {
	switch {
	case err == nil:
		reply(w, http.StatusAccepted, accepted{what})
	case errors.Is(err, plugin.ErrNoPlugin):
		fail(w, http.StatusNotFound, err.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		failAsk(w, err)
	default:
		fail(w, http.StatusConflict, err.Error())
	}
}
