package control

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"pluginsupervisor/plugin"
)

// patience is how long a test waits for what must come at once.
const patience = 30 * time.Second

// request is what a test server was sent.
type request struct {
	Method, Path string
	Header       http.Header
	Body         string
	From         string // the peer's address: another one, another connection
}

// serve answers every request as handler does, on a real listener, and hands
// over what it was sent.
func serve(t *testing.T, handler http.HandlerFunc) (*httptest.Server, <-chan request) {
	t.Helper()
	got := make(chan request, 100)
	s := httptest.NewServer(recordRequests(got, handler))
	t.Cleanup(s.Close)
	return s, got
}

func recordRequests(got chan<- request, handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		got <- request{Method: r.Method, Path: r.URL.Path, Header: r.Header, Body: string(body), From: r.RemoteAddr}
		handler(w, r)
	}
}

// answering sends a status and a body.
func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// newClient is a client of cfg that the test closes, with a time limit no test hits by accident.
func newClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = patience
	}
	log, _ := logtest.NewNullLogger()
	log.SetLevel(logrus.DebugLevel)
	c, err := New(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// oneReport is a report of which only the sending matters.
func oneReport() plugin.Report {
	return plugin.Report{Entries: []plugin.ReportEntry{{Name: "a", Version: "1.0", Status: plugin.StatusRunning}}}
}

// none fails the test if anything more was sent.
func none(t *testing.T, got <-chan request) {
	t.Helper()
	select {
	case r := <-got:
		t.Errorf("one request too many: %+v", r)
	default:
	}
}

// quiet keeps what a server says of failed handshakes out of the test's output.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
