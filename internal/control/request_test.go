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

// stalling sends the beginning of an answer and then nothing until the client has gone.
func stalling(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, `{"scanInterval":900,`)
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// closing promises an answer and hangs up in the middle of it.
func closing(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	buffered.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"scanInterval\":900,")
	buffered.Flush()
	conn.Close()
}

// TestNoAnswer is about exchanges without a status, and about those whose body
// does not arrive (SC-19): one request, an error that says what happened, and
// nothing taken from what did arrive.
func TestNoAnswer(t *testing.T) {
	const short = 200 * time.Millisecond
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		timeout time.Duration
		want    error
		says    string
		status  bool // a 2xx status arrived
	}{
		"silence": {
			func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, short,
			context.DeadlineExceeded, "no complete answer in 200ms", false,
		},
		"a trickle":        {trickling, short, context.DeadlineExceeded, "no complete answer in 200ms", true},
		"a stall":          {stalling(200), short, context.DeadlineExceeded, "no complete answer in 200ms", true},
		"the end midway":   {closing, patience, io.ErrUnexpectedEOF, "read answer", true},
		"too much":         {answering(200, strings.Repeat(" ", MaxAnswer-1)+"{}"), patience, plugin.ErrUnreadableAnswer, "longer than 4194304 bytes", true},
		"headers too long": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 2*maxHeader)) }, patience, nil, "header", false},
	} {
		t.Run(name, func(t *testing.T) {
			server, got := serve(t, test.handler)
			c := newClient(t, Config{URL: server.URL, Timeout: test.timeout})
			answer, err := c.Report(t.Context(), oneReport())
			if test.status && err == nil {
				err, answer.ParseErr = answer.ParseErr, nil
			}
			if err == nil || (test.want != nil && !errors.Is(err, test.want)) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want %v and %q", err, test.want, test.says)
			}
			if answer != (plugin.Answer{}) {
				t.Errorf("answer %+v", answer)
			}
			if n := len(got); n > 1 { // none, where the machine is so busy that the time was up before
				t.Errorf("%d requests", n)
			}
		})
	}
}

// trickling sends byte after byte, each well within any time limit.
func trickling(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		io.WriteString(w, " ")
		http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// carrier is a transport that is no network.
type carrier func(*http.Request) (*http.Response, error)

func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) { return c(r) }

// Where no time limit is configured it is 5 s, of the whole exchange (SPEC 3).
func TestDefaultTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := logtest.NewNullLogger()
		c, err := New(Config{URL: "http://h", Transport: carrier(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}, log)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = c.Report(t.Context(), oneReport())
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 5*time.Second {
			t.Errorf("error %v after %v", err, took)
		}
	})
}

func TestConnectionRefused(t *testing.T) {
	// Bound and not listened on: nobody else can take the port meanwhile.
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

// The caller's end is told apart from the time limit.
func TestCallerEnds(t *testing.T) {
	server, got := serve(t, stalling(200))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-got; cancel() }()
	_, err := newClient(t, Config{URL: server.URL}).Report(ctx, oneReport())
	if !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// An answer read to its end leaves the connection to the next request,
// whatever the answer was; one that was too long does not.
func TestConnectionsAreReused(t *testing.T) {
	status, body := 200, "{}"
	server, got := serve(t, func(w http.ResponseWriter, r *http.Request) { answering(status, body)(w, r) })
	c := newClient(t, Config{URL: server.URL + "/behind/a/path/"})
	from := func() string {
		c.Report(t.Context(), oneReport())
		r := <-got
		if r.Path != "/behind/a/path"+PathReport {
			t.Errorf("path %s", r.Path)
		}
		return r.From
	}
	// One lost connection is a scheduler's whim, one lost after each request is a leak.
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
		t.Error("a connection for each answer")
	}
	status, body = 503, strings.Repeat("x", 1<<20)
	if !reused() {
		t.Error("a connection for each refusal")
	}
	status, body = 200, strings.Repeat("x", 4*MaxAnswer)
	if last := from(); last == from() {
		t.Error("the same connection after an answer that was too long")
	}
}
