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

// Limits keep one client from harming the others (CP-13).
type Limits struct {
	Header   time.Duration // for a request's header to arrive
	Read     time.Duration // for a whole request to arrive
	Write    time.Duration // for the answer to be taken, counted from the header's end
	Idle     time.Duration // between two requests on one connection
	Shutdown time.Duration // for requests in flight when the server stops
	Body     int64         // bytes
	Event    int64         // bytes of an event: an inventory has all plugins of a host, quoted twice
	NewHosts int           // that one peer may name within a minute; the rest is answered 429
	Keep     time.Duration // silent hosts and removed plugins go after this long; 0: never
	Headers  int           // bytes
	Package  int64         // bytes; it may take Read and Write for each MiB
	Uploads  int           // of packages at once
}

// DefaultLimits are those of SPEC 3 where it names them, generous otherwise.
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

	uploads  chan struct{} // of capacity Limits.Uploads; one in it for each under way
	newHosts newHosts
}

// NewServer makes a server over the store, which stays the caller's to close.
func NewServer(store *Store, log *logrus.Logger, limits Limits, links Links) *Server {
	return &Server{
		store: store, log: log, now: time.Now, limits: limits, links: links, page: newPage(),
		uploads: make(chan struct{}, limits.Uploads),
	}
}

// Serve answers on the listener until ctx ends, then takes no new requests and
// gives those in flight their time; it closes the listener. Its error is nil
// when it was told to end and everyone got an answer.
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
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	pruning, stop := context.WithCancel(ctx)
	pruned := make(chan struct{})
	go func() {
		defer close(pruned)
		s.pruneHourly(pruning)
	}()
	defer func() { stop(); <-pruned }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.Shutdown)
	defer cancel()
	if err := server.Shutdown(patience); err != nil {
		return fmt.Errorf("stop serving: %w", errors.Join(err, server.Close()))
	}
	return nil
}

// Handler returns the server without its listener. With local, a request has to
// name this machine, by a local name or the public URL's: the name of a foreign
// site can be made to point here, and the site's pages would then pass for ours.
// A host's request may carry any name, as a proxy leaves it.
func (s *Server) Handler(local bool) http.Handler {
	mux := http.NewServeMux()
	for _, route := range []struct {
		pattern string
		handle  func(http.ResponseWriter, *http.Request) error
	}{
		{"POST " + control.PathReport, s.reportStatus},
		{"POST " + control.PathUpdate, s.updateCheck},
		{"POST " + control.PathList, s.pluginList},
		{"POST " + control.PathEvent, s.metrics},
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
		{"POST /offers", s.formOffer},
		{"POST /offers/withdraw", s.formWithdraw},
		{"POST /settings", s.formSettings},
		{"POST /packages", s.formPackage},
		{"POST /packages/remove", s.formRemove},
	} {
		mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := route.handle(w, r); err != nil {
				s.refuse(w, r, err)
			}
		})
	}
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, fault{http.StatusForbidden, "request comes from another site"})
	}))
	guarded := guard.Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if local && !localName(r.Host) && !s.links.isPublic(r.Host) && !fromHost(r) {
			s.refuse(w, r, fault{http.StatusMisdirectedRequest, fmt.Sprintf("this server is not %q: use its address or localhost, or name it with --public-url", r.Host)})
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// fromHost reports whether the request is one that hosts make, and made by no
// browser: browsers name the origin of what a page posts. What a page can get
// without that is no secret, since it has to know a package's digest.
func fromHost(r *http.Request) bool {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	return (strings.HasPrefix(r.URL.Path, "/luban/") || reads && strings.HasPrefix(r.URL.Path, "/packages/")) &&
		r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == ""
}

// refuse answers with what went wrong; a fault of ours is logged, not told.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	client, _ := s.links.client(r)
	log := s.log.WithFields(logrus.Fields{"method": r.Method, "path": r.URL.Path, "peer": client})
	var f fault
	switch {
	case errors.As(err, &f):
		log.WithField("cause", f.text).Info("Request refused")
	case errors.Is(err, ErrBusy):
		log.Warn("Too many requests")
		w.Header().Set("Retry-After", "1")
		f = fault{http.StatusTooManyRequests, ErrBusy.Error()}
	case errors.Is(err, errNewHosts):
		log.Warn("Too many new hosts from one peer")
		w.Header().Set("Retry-After", strconv.Itoa(int(newHostsWithin/time.Second)))
		f = fault{http.StatusTooManyRequests, err.Error()}
	case r.Context().Err() != nil:
		log.Debug("Client gave up")
		f = fault{http.StatusServiceUnavailable, "gave up"}
	default:
		log.WithError(err).Error("Request failed")
		f = fault{http.StatusInternalServerError, "internal error, see the server's log"}
	}
	answer(w, f.code, struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{f.code, f.text})
}

// answer writes a value as compact JSON. An error is the client's going away.
func answer(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value)
}

// body reads a request's body within the limits.
func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	most := s.limits.Body
	if r.URL.Path == control.PathEvent {
		most = s.limits.Event
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	return body, bodyFault(err, s.limits)
}

func bodyFault(err error, limits Limits) error {
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &large):
		return fault{http.StatusRequestEntityTooLarge, fmt.Sprintf("body has more than %d bytes", large.Limit)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fault{http.StatusRequestTimeout, fmt.Sprintf("body did not arrive within %v", limits.Read)}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return badf("body ends early")
	default:
		return badf("body cannot be read: %v", err)
	}
}
