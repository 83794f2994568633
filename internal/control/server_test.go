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

// testTimeout is the timeout for requests that are expected to succeed at once.
const testTimeout = 30 * time.Second

// request is a request that a test server received.
type request struct {
	Method, Path string
	Header       http.Header
	Body         string
	From         string // the peer's address; it differs for each connection
}

// startServer starts a server with the handler on a real listener. The channel
// receives the requests.
func startServer(t *testing.T, handler http.HandlerFunc) (*httptest.Server, <-chan request) {
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

// answerWith returns a handler that sends a status and a body.
func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// newClient returns a client that is closed when the test ends. Its default
// timeout is long.
func newClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = testTimeout
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

// oneReport returns a report with one entry.
func oneReport() plugin.Report {
	return plugin.Report{Entries: []plugin.ReportEntry{{Name: "a", Version: "1.0", Status: plugin.StatusRunning}}}
}

// expectNoRequest fails the test if the server received another request.
func expectNoRequest(t *testing.T, got <-chan request) {
	t.Helper()
	select {
	case r := <-got:
		t.Errorf("unexpected request: %+v", r)
	default:
	}
}

// discardLog returns a logger that keeps failed handshakes out of the test's output.
func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }
