package control

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	logtest "github.com/sirupsen/logrus/hooks/test"

	"pluginsupervisor/plugin"
)

// stallBody sends the beginning of an answer, then nothing until the client
// disconnects.
func stallBody(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, `{"scanInterval":900,`)
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// closeMidway announces a body and closes the connection in the middle of it.
func closeMidway(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	buffered.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"scanInterval\":900,")
	buffered.Flush()
	conn.Close()
}

// TestNoAnswer covers requests without a status in the answer, and those whose
// body does not arrive (SC-19): one request, an error that names the cause, and
// no field used of a partial body.
func TestNoAnswer(t *testing.T) {
	const short = 200 * time.Millisecond
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		timeout time.Duration
		want    error
		message string
		status  bool // a 2xx status arrived
	}{
		"no answer": {
			func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, short,
			context.DeadlineExceeded, "no complete answer in 200ms", false,
		},
		"a trickle":        {trickleBody, short, context.DeadlineExceeded, "no complete answer in 200ms", true},
		"a stall":          {stallBody(200), short, context.DeadlineExceeded, "no complete answer in 200ms", true},
		"closed midway":    {closeMidway, testTimeout, io.ErrUnexpectedEOF, "read answer", true},
		"too much":         {answerWith(200, strings.Repeat(" ", MaxAnswer-1)+"{}"), testTimeout, plugin.ErrUnreadableAnswer, "longer than 4194304 bytes", true},
		"headers too long": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 2*maxHeader)) }, testTimeout, nil, "header", false},
	} {
		t.Run(name, func(t *testing.T) {
			server, got := startServer(t, test.handler)
			c := newClient(t, Config{URL: server.URL, Timeout: test.timeout})
			answer, err := c.Report(t.Context(), oneReport())
			if test.status && err == nil {
				err, answer.ParseErr = answer.ParseErr, nil
			}
			if err == nil || (test.want != nil && !errors.Is(err, test.want)) || !strings.Contains(err.Error(), test.message) {
				t.Errorf("error %v, want %v and %q", err, test.want, test.message)
			}
			if answer != (plugin.Answer{}) {
				t.Errorf("answer %+v, want an empty one", answer)
			}
			if n := len(got); n > 1 { // none when a busy machine used up the time before
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

// trickleBody sends single bytes, each within any timeout.
func trickleBody(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		io.WriteString(w, " ")
		http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// roundTripFunc is a function that serves as an http.RoundTripper.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (c roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return c(r) }

// The default timeout of a whole request is 5 s (SPEC 3).
func TestDefaultTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := logtest.NewNullLogger()
		c, err := New(Config{URL: "http://h", Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}, log)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = c.Report(t.Context(), oneReport())
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 5*time.Second {
			t.Errorf("error %v after %v, want a timeout after 5s", err, took)
		}
	})
}

func TestConnectionRefused(t *testing.T) {
	// Bound but not listening: no other process can take the port meanwhile.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: bound.(*syscall.SockaddrInet4).Port}
	_, err = newClient(t, Config{URL: "http://" + address.String()}).Report(t.Context(), oneReport())
	if !errors.Is(err, syscall.ECONNREFUSED) || strings.Contains(err.Error(), "luban") {
		t.Errorf("error %v", err)
	}
}

// A cancelled context is a different error from a timeout.
func TestCallerCancels(t *testing.T) {
	server, got := startServer(t, stallBody(200))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-got; cancel() }()
	_, err := newClient(t, Config{URL: server.URL}).Report(ctx, oneReport())
	if !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// After an answer that was read completely, the next request uses the same
// connection. After one that was too long it does not.
func TestConnectionsAreReused(t *testing.T) {
	status, body := 200, "{}"
	server, got := startServer(t, func(w http.ResponseWriter, r *http.Request) { answerWith(status, body)(w, r) })
	c := newClient(t, Config{URL: server.URL + "/behind/a/path/"})
	from := func() string {
		c.Report(t.Context(), oneReport())
		r := <-got
		if r.Path != "/behind/a/path"+PathReport {
			t.Errorf("path %s", r.Path)
		}
		return r.From
	}
	// The scheduler can cost one connection; a lost one after each request is a leak.
	reused := func() bool {
		for last, tries := from(), 0; tries < 20; tries++ {
			again := from()
			if again == last {
				return true
			}
			last = again
		}
		return false
	}
	if !reused() {
		t.Error("each answer used a new connection")
	}
	status, body = 503, strings.Repeat("x", 1<<20)
	if !reused() {
		t.Error("each refusal used a new connection")
	}
	status, body = 200, strings.Repeat("x", 4*MaxAnswer)
	if last := from(); last == from() {
		t.Error("the connection was reused after an answer that was too long")
	}
}
