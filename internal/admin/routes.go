package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"time"
)

// answerWithin bounds the wait for the supervisor's answer. A supervisor that
// is slower than this is as good as stuck, and /healthz says so.
const answerWithin = 2 * time.Second

// maxBody bounds a request's body, in bytes.
const maxBody = 64 << 10

// access says who may use a route.
type access int

const (
	owner  access = iota // the supervisor's own user and root, by the kernel's word
	anyone               // whoever reaches the address
)

func (a access) allows(p peer, self int) bool {
	return a == anyone || p.known && (p.uid == 0 || p.uid == self)
}

// route is one line of the API.
type route struct {
	method string
	path   string
	access access
	answer http.HandlerFunc
}

// Handler is the API behind the admin socket. journal is the folder of the
// supervisor's journal.
func Handler(s Supervisor, journal string) http.Handler {
	return routes([]route{
		{http.MethodGet, "/v1/status", owner, status(s)},
		{http.MethodGet, "/v1/plugins", owner, plugins(s)},
		{http.MethodGet, "/v1/events", owner, events(s, journal)},
		{http.MethodPost, "/v1/plugins/{name}/start", owner, order(OrderStart, s.StartPlugin)},
		{http.MethodPost, "/v1/plugins/{name}/force-start", owner, order(OrderForce, s.ForceStartPlugin)},
		{http.MethodPost, "/v1/plugins/{name}/stop", owner, order(OrderStop, s.StopPlugin)},
		{http.MethodPost, "/v1/plugins/{name}/restart", owner, order(OrderRestart, s.RestartPlugin)},
		{http.MethodPost, "/v1/plugins/{name}/cancel", owner, order(OrderCancel, s.CancelChange)},
		{http.MethodPost, "/v1/plugins/{name}/change", owner, change(s)},
	}, os.Getuid())
}

// routes serves the table; self is the supervisor's uid.
func routes(table []route, self int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "no such path: "+r.URL.Path)
	})
	for _, rt := range table {
		mux.HandleFunc(rt.path, func(w http.ResponseWriter, r *http.Request) {
			who, _ := r.Context().Value(peerKey{}).(peer)
			switch {
			case !rt.access.allows(who, self):
				fail(w, http.StatusForbidden, "only root and the supervisor's own user may ask")
			case r.Method != rt.method && !(r.Method == http.MethodHead && rt.method == http.MethodGet):
				w.Header().Set("Allow", rt.method)
				fail(w, http.StatusMethodNotAllowed, r.Method+" is not allowed here, "+rt.method+" is")
			default:
				rt.answer(w, r)
			}
		})
	}
	return http.MaxBytesHandler(mux, maxBody)
}

func status(s Observed) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
		defer cancel()
		snapshot, err := s.Status(ctx)
		if err != nil {
			failAsk(w, err)
			return
		}
		reply(w, http.StatusOK, snapshot)
	}
}

func plugins(s Observed) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
		defer cancel()
		snapshot, err := s.Status(ctx)
		if err != nil {
			failAsk(w, err)
			return
		}
		reply(w, http.StatusOK, ListOf(snapshot))
	}
}

// failAsk says that the supervisor did not answer.
func failAsk(w http.ResponseWriter, err error) {
	if errors.Is(err, context.DeadlineExceeded) {
		fail(w, http.StatusServiceUnavailable, "no answer from the supervisor within "+answerWithin.String())
		return
	}
	fail(w, http.StatusServiceUnavailable, err.Error())
}

func fail(w http.ResponseWriter, code int, message string) {
	reply(w, code, failure{Error: message})
}

// failure is the body of every answer other than 2xx.
type failure struct {
	Error string `json:"error"`
}

func reply(w http.ResponseWriter, code int, body any) {
	b, err := json.Marshal(body)
	if err != nil { // a time outside the years JSON knows, say
		code, b = http.StatusInternalServerError, []byte(`{"error":"the answer could not be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // who asked may be gone
}
