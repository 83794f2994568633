package admin

import (
	"context"
	"errors"
	"net/http"

	"pluginsupervisor/plugin"
)

// Order is what an operator may have done to a plugin.
type Order string

// The orders.
const (
	OrderStart   Order = "start"
	OrderStop    Order = "stop"
	OrderRestart Order = "restart"
)

// accepted is the body of an order's good answer: it will be done, it is not
// done yet.
type accepted struct {
	Accepted string `json:"accepted"`
}

// order has something done to the plugin that the path names.
func order(o Order, do func(ctx context.Context, name string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
		defer cancel()
		name := r.PathValue("name")
		err := do(ctx, name)
		switch {
		case err == nil:
			reply(w, http.StatusAccepted, accepted{string(o) + " " + name})
		case errors.Is(err, plugin.ErrNoPlugin):
			fail(w, http.StatusNotFound, err.Error())
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
			failAsk(w, err)
		default:
			fail(w, http.StatusConflict, err.Error())
		}
	}
}
