package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"time"
)

// answerTimeout is the timeout for the supervisor's answer. A slower supervisor
// counts as unhealthy in /healthz.
const answerTimeout = 2 * time.Second

// maxBody limits the body of a request, in bytes.
const maxBody = 64 << 10

// access is the access level of a route.
type access int

const (
	ownerOnly access = iota // the supervisor's user and root, checked by the peer's uid
	anyClient               // any client that reaches the address
)

func (a access) allowsPeer(p peer, self int) bool {
	return a == anyClient || p.known && (p.uid == 0 || p.uid == self)
}

// route is one route of the API.
type route struct {
	method string
	path   string
	access access
	answer http.HandlerFunc
}

// NewHandler returns the API of the admin socket. journal is the folder of the
// supervisor's journal.
func NewHandler(s Supervisor, journal string) http.Handler {
	return newMux([]route{
		{http.MethodGet, "/v1/status", ownerOnly, serveStatus(s)},
		{http.MethodGet, "/v1/plugins", ownerOnly, servePlugins(s)},
		{http.MethodGet, "/v1/events", ownerOnly, serveEvents(s, journal)},
		{http.MethodPost, "/v1/plugins/{name}/start", ownerOnly, serveCommand(CommandStart, s.StartPlugin)},
		{http.MethodPost, "/v1/plugins/{name}/force-start", ownerOnly, serveCommand(CommandForce, s.ForceStartPlugin)},
		{http.MethodPost, "/v1/plugins/{name}/stop", ownerOnly, serveCommand(CommandStop, s.StopPlugin)},
		{http.MethodPost, "/v1/plugins/{name}/restart", ownerOnly, serveCommand(CommandRestart, s.RestartPlugin)},
		{http.MethodPost, "/v1/plugins/{name}/cancel", ownerOnly, serveCommand(CommandCancel, s.CancelChange)},
		{http.MethodPost, "/v1/plugins/{name}/change", ownerOnly, serveChange(s)},
	}, os.Getuid())
}

// newMux returns a handler for the table; self is the supervisor's uid.
func newMux(table []route, self int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, "no such path: "+r.URL.Path)
	})
	for _, rt := range table {
		mux.HandleFunc(rt.path, func(w http.ResponseWriter, r *http.Request) {
			who, _ := r.Context().Value(peerKey{}).(peer)
			switch {
			case !rt.access.allowsPeer(who, self):
				writeError(w, http.StatusForbidden, "permission denied: run as root or as the supervisor's user")
			case r.Method != rt.method && !(r.Method == http.MethodHead && rt.method == http.MethodGet):
				w.Header().Set("Allow", rt.method)
				writeError(w, http.StatusMethodNotAllowed, "method "+r.Method+" is not allowed, use "+rt.method)
			default:
				rt.answer(w, r)
			}
		})
	}
	return http.MaxBytesHandler(mux, maxBody)
}

func serveStatus(s StatusSource) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		snapshot, err := s.Status(ctx)
		if err != nil {
			writeNoAnswer(w, err)
			return
		}
		writeJSON(w, http.StatusOK, snapshot)
	}
}

func servePlugins(s StatusSource) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		snapshot, err := s.Status(ctx)
		if err != nil {
			writeNoAnswer(w, err)
			return
		}
		writeJSON(w, http.StatusOK, ListOf(snapshot))
	}
}

// writeNoAnswer writes the error of a supervisor that did not answer.
func writeNoAnswer(w http.ResponseWriter, err error) {
	if errors.Is(err, context.DeadlineExceeded) {
		writeError(w, http.StatusServiceUnavailable, "the supervisor did not answer within "+answerTimeout.String())
		return
	}
	writeError(w, http.StatusServiceUnavailable, err.Error())
}

func writeError(w http.ResponseWriter, code int, message string) {
	writeJSON(w, code, errorBody{Error: message})
}

// errorBody is the body of every answer other than 2xx.
type errorBody struct {
	Error string `json:"error"`
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	b, err := json.Marshal(body)
	if err != nil { // for example a time beyond the years that JSON allows
		code, b = http.StatusInternalServerError, []byte(`{"error":"the answer could not be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // the client may have disconnected
}
