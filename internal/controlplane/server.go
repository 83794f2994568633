package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	logslog "github.com/sirupsen/logrus/hooks/slog"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/pkgcheck"
)

// Limits holds the limits that keep one client from harming the others (CP-13).
type Limits struct {
	Header   time.Duration // for a request's header to arrive
	Read     time.Duration // for a whole request to arrive
	Write    time.Duration // for the answer to be received, counted from the end of the header
	Idle     time.Duration // between two requests on one connection
	Shutdown time.Duration // for requests in flight when the server stops
	Body     int64         // bytes
	Event    int64         // bytes of an event: an inventory lists all plugins of a host, quoted twice
	NewHosts int           // of one peer within a minute; more are answered 429
	Keep     time.Duration // after which silent hosts and removed plugins are deleted; 0: never
	Headers  int           // bytes
	Package  int64         // bytes; it may take Read and Write for each MiB
	Uploads  int           // of packages at once
}

// DefaultLimits returns the limits of SPEC 3, and generous ones where it has none.
func DefaultLimits() Limits {
	return Limits{
		Header: 5 * time.Second, Read: 15 * time.Second, Write: 30 * time.Second, Idle: 2 * time.Minute,
		Shutdown: 10 * time.Second, Body: 4 << 20, Event: 16 << 20, Headers: 16 << 10,
		NewHosts: 300, Keep: 30 * 24 * time.Hour,
		Package: pkgcheck.DefaultLimits().Size, Uploads: 4,
	}
}

// Server answers hosts, operators' browsers and the admin API.
type Server struct {
	store  *Store
	log    *logrus.Logger
	now    func() time.Time
	limits Limits
	links  Links
	page   *page

	uploads  chan struct{} // of capacity Limits.Uploads; holds one item for each upload in progress
	newHosts newHosts
}

// NewServer returns a server that uses the store. The caller closes the store.
func NewServer(store *Store, log *logrus.Logger, limits Limits, links Links) *Server {
	return &Server{
		store: store, log: log, now: time.Now, limits: limits, links: links, page: newPage(),
		uploads: make(chan struct{}, limits.Uploads),
	}
}

// Serve serves requests on the listener until ctx is done, then waits up to
// Limits.Shutdown for those in flight, and closes the listener. It returns nil
// when all of them were answered.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler(isLoopback(listener.Addr())),
		ReadHeaderTimeout: s.limits.Header,
		ReadTimeout:       s.limits.Read,
		WriteTimeout:      s.limits.Write,
		IdleTimeout:       s.limits.Idle,
		MaxHeaderBytes:    s.limits.Headers,
		ErrorLog:          slog.NewLogLogger(logslog.NewHandler(s.log, nil), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	pruning, stop := context.WithCancel(ctx)
	pruned := make(chan struct{})
	go func() {
		defer close(pruned)
		s.removeOldHourly(pruning)
	}()
	defer func() { stop(); <-pruned }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	shutdownCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.Shutdown)
	defer cancel()
	if err := server.Shutdown(shutdownCtx); err != nil {
		return fmt.Errorf("stop serving: %w", errors.Join(err, server.Close()))
	}
	return nil
}

// Handler returns the handler of all paths. With local, the Host of a request must
// be a loopback name or that of the public URL: another site can point its name at
// this address (DNS rebinding), and its pages would then pass for ours. Requests
// of hosts may have any name, as a proxy may keep it.
func (s *Server) Handler(local bool) http.Handler {
	mux := http.NewServeMux()
	for _, route := range []struct {
		pattern string
		handle  func(http.ResponseWriter, *http.Request) error
	}{
		{"POST " + control.PathReport, s.receiveReport},
		{"POST " + control.PathUpdate, s.answerUpdateCheck},
		{"POST " + control.PathList, s.answerPackageList},
		{"POST " + control.PathEvent, s.receiveEvent},
		{pathDetect, detectConnection},

		{"GET /api/hosts", s.getHosts},
		{"GET /api/settings", s.getSettings},
		{"PUT /api/settings", s.putSettings},
		{"GET /api/offers", s.getOffers},
		{"POST /api/offers", s.postOffer},
		{"DELETE /api/offers", s.deleteOffer},

		{"GET /api/packages", s.getPackages},
		{"POST /api/packages", s.postPackage},
		{"DELETE /api/packages", s.deletePackages},
		{"GET /packages/{name}/{version}/{file}", s.servePackage},

		{"GET /{$}", s.showPage},
		{"POST /offers", s.submitOffer},
		{"POST /offers/withdraw", s.submitWithdrawal},
		{"POST /settings", s.submitSettings},
		{"POST /packages", s.submitPackage},
		{"POST /packages/remove", s.submitRemoval},
	} {
		mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := route.handle(w, r); err != nil {
				s.writeError(w, r, err)
			}
		})
	}
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.writeError(w, r, requestError{http.StatusForbidden, "request comes from another site"})
	}))
	guarded := guard.Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if local && !isLocalName(r.Host) && !s.links.isPublic(r.Host) && !isHostRequest(r) {
			s.writeError(w, r, requestError{http.StatusMisdirectedRequest, fmt.Sprintf("this server is not called %q: use its address or localhost, or set --public-url", r.Host)})
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// isHostRequest reports whether the request is a host's and no browser's: browsers
// send the origin of a page's POST. A page can get a package without it, but it
// has to know the digest.
func isHostRequest(r *http.Request) bool {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	return (strings.HasPrefix(r.URL.Path, "/luban/") || reads && strings.HasPrefix(r.URL.Path, "/packages/")) &&
		r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == ""
}

// writeError answers with the error. An internal error is logged only.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	client, _ := s.links.clientAddress(r)
	log := s.log.WithFields(logrus.Fields{"method": r.Method, "path": r.URL.Path, "peer": client})
	var f requestError
	switch {
	case errors.As(err, &f):
		log.WithField("cause", f.text).Info("Request rejected")
	case errors.Is(err, ErrBusy):
		log.Warn("Too many requests")
		w.Header().Set("Retry-After", "1")
		f = requestError{http.StatusTooManyRequests, ErrBusy.Error()}
	case errors.Is(err, errNewHosts):
		log.Warn("Too many new hosts from one peer")
		w.Header().Set("Retry-After", strconv.Itoa(int(newHostsWindow/time.Second)))
		f = requestError{http.StatusTooManyRequests, err.Error()}
	case r.Context().Err() != nil:
		log.Debug("Request canceled by the client")
		f = requestError{http.StatusServiceUnavailable, "request canceled"}
	default:
		log.WithError(err).Error("Request failed")
		f = requestError{http.StatusInternalServerError, "internal error, see the server's log"}
	}
	writeJSON(w, f.code, struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{f.code, f.text})
}

// writeJSON writes a value as compact JSON. It fails only when the client is gone.
func writeJSON(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value)
}

// readBody returns a request's body, up to the limits.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	most := s.limits.Body
	if r.URL.Path == control.PathEvent {
		most = s.limits.Event
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	return body, bodyError(err, s.limits)
}

func bodyError(err error, limits Limits) error {
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &large):
		return requestError{http.StatusRequestEntityTooLarge, fmt.Sprintf("body has more than %d bytes", large.Limit)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return requestError{http.StatusRequestTimeout, fmt.Sprintf("body did not arrive within %v", limits.Read)}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return badRequest("body is incomplete")
	default:
		return badRequest("body cannot be read: %v", err)
	}
}
