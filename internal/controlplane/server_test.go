package controlplane

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/logger"
)

// TestMain makes the test binary a server when a test starts it as a child to kill.
func TestMain(m *testing.M) {
	if database := os.Getenv(childDatabase); database != "" {
		if err := runChild(database); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func openStore(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fleet is a control plane on loopback, with its store.
type fleet struct {
	t        *testing.T
	url      string
	database string
	store    *Store
}

func newFleet(t *testing.T) fleet { return newFleetAt(t, time.Now) }

func newFleetAt(t *testing.T, now func() time.Time) fleet {
	return newFleetWith(t, func(s *Server) { s.now = now })
}

func newFleetWith(t *testing.T, adjust func(*Server)) fleet {
	t.Helper()
	database := filepath.Join(t.TempDir(), "fleet.db")
	store := openStore(t, database)
	s := NewServer(store, logger.Silent(), DefaultLimits(), Links{})
	adjust(s)
	web := httptest.NewServer(s.Handler(true))
	t.Cleanup(func() {
		web.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return fleet{t: t, url: web.URL, database: database, store: store}
}

// sendRequest sends a request as host, or without a host id for "", and returns the
// status code and body of the answer.
func (f fleet) sendRequest(method, path, host, body string) (int, string) {
	f.t.Helper()
	return sendRequest(f.t, method, f.url+path, body, func(r *http.Request) {
		if host != "" {
			r.Header.Set(control.HeaderInstanceID, host)
		}
	})
}

func sendRequest(t *testing.T, method, url, body string, adjust func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	if adjust != nil {
		adjust(r)
	}
	answer, err := (&http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Minute,
	}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// sendReport reports one plugin of a host, which must succeed.
func (f fleet) sendReport(host, name, version, word string) {
	f.t.Helper()
	body := fmt.Sprintf(`{"plugin":[{"name":%q,"status":%q,"version":%q}]}`, name, word, version)
	if code, text := f.sendRequest(http.MethodPost, control.PathReport, host, body); code != 200 {
		f.t.Fatalf("report answered %d %s, want 200", code, text)
	}
}

// sameJSON compares texts as JSON.
func sameJSON(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("not JSON: %v: %s", err, got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	gb, _ := json.Marshal(g)
	wb, _ := json.Marshal(w)
	if !bytes.Equal(gb, wb) {
		t.Errorf("got  %s\nwant %s", gb, wb)
	}
}

// startServer runs a real server until stop, which returns Serve's error.
func startServer(t *testing.T, limits Limits) (address string, stop func() error) {
	t.Helper()
	store := openStore(t, filepath.Join(t.TempDir(), "fleet.db"))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- NewServer(store, logger.Silent(), limits, Links{}).Serve(ctx, listener) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := errors.Join(stop(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String(), stop
}

func TestServeStopsGracefully(t *testing.T) {
	address, stop := startServer(t, DefaultLimits())

	// The body of a request is half sent when the server is stopped.
	body, rest := io.Pipe()
	answered := make(chan string, 1)
	go func() {
		answer, err := http.Post("http://"+address+control.PathReport, "application/json", body)
		if err != nil {
			answered <- err.Error()
			return
		}
		answer.Body.Close()
		answered <- answer.Status
	}()
	if _, err := rest.Write([]byte(`{"plugin":`)); err != nil { // accepted, so the connection exists
		t.Fatal(err)
	}
	// Connections are accepted in order: when a later one is served, the first is accepted.
	if code, _ := sendRequest(t, http.MethodGet, "http://"+address+"/api/hosts", "", nil); code != 200 {
		t.Fatalf("hosts answered %d, want 200", code)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	waitFor(t, "the listener to close", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if _, err := rest.Write([]byte(`[]}`)); err != nil {
		t.Fatal(err)
	}
	rest.Close()
	if got := <-answered; got != "200 OK" {
		t.Errorf("request in flight was answered %s", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timeout waiting for %s", what)
		}
	}
}
