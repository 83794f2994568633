package service

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// AP-12: the check of a URL returns in time for every answer, with the cause of a
// failure.
func TestCheckHTTP(t *testing.T) {
	finished := make(chan struct{})
	defer close(finished)
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "" || r.URL.RawQuery != "a=b%20c" {
			w.WriteHeader(http.StatusBadRequest)
		}
		fmt.Fprint(w, "fine")
	})
	mux.HandleFunc("/empty", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
	})
	mux.HandleFunc("/500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) })
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-finished })
	mux.HandleFunc("/hang-later", func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		<-finished
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		b := make([]byte, 1<<20)
		for range 1 << 10 { // 1 GB
			if _, err := w.Write(b); err != nil {
				return
			}
		}
		t.Error("all of a large answer was read")
	})
	server := httptest.NewServer(mux)
	defer server.CloseClientConnections()
	for path, want := range map[string]string{
		"/ok?a=b%20c": "",
		"/empty":      "",
		"/hints":      "",
		"/large":      "",
		"/500":        "answered 500 Internal Server Error",
		"/redirect":   `answered 302 Found, a redirect to "/login"; redirects are not followed, use the final address`,
		"/hang":       "no answer in 300ms",
		"/hang-later": "no answer in 300ms",
	} {
		t.Run(path, func(t *testing.T) {
			began := time.Now()
			timeout := 10 * time.Second
			if strings.HasPrefix(path, "/hang") {
				timeout = 300 * time.Millisecond
			}
			err := Check{HTTP: server.URL + path}.Run(t.Context(), timeout, nil)
			if want == "" && err != nil || want != "" && (err == nil || err.Error() != "GET "+server.URL+path+": "+want) {
				t.Errorf("%v, want %q", err, want)
			}
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// AP-12: a program with an answer that is not HTTP is not healthy.
func TestCheckHTTPOtherAnswers(t *testing.T) {
	for answer, want := range map[string]string{
		"": "connection closed without an answer", "-ERR unknown command\r\n": "answer is not HTTP", "HTTP/1.1 OK\r\n\r\n": "answer is not HTTP",
		"HTTP/1.1 200": "answer is not HTTP", "HTTP/1.1 200 OK\r\nA: b": "answer is not HTTP", "HTTP/1.0 204\n\n": "",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("a: "+strings.Repeat("b", 4000)+"\r\n", 100) + "\r\n": "answer is not HTTP",
		strings.Repeat("x", 10_000):                              "answer is not HTTP",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort":     "answered 200 OK, but the body is incomplete: EOF",
		"HTTP/1.1 503 \x1b[31mno\r\n\r\n":                        "answered 503 [31mno",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Gone\r\n\r\n": "answered 404 Gone",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}()
		err = Check{HTTP: "http://" + l.Addr().String()}.Run(t.Context(), 10*time.Second, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasSuffix(err.Error(), ": "+want)) {
			t.Errorf("%.40q: %v, want %q", answer, err, want)
		}
		_ = l.Close()
	}
}

func TestCheckTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := Check{TCP: l.Addr().String()}
	if err := c.Run(t.Context(), 10*time.Second, nil); err != nil {
		t.Error(err)
	}
	_ = l.Close()
	want := "connect to " + c.TCP + ": connect: connection refused"
	if err := c.Run(t.Context(), 10*time.Second, nil); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestCheckCommand(t *testing.T) {
	c := Check{Command: []string{"bin/check", "-q"}}
	for _, tt := range []struct {
		run  Runner
		want string
	}{
		{func(_ context.Context, words []string) error { return nil }, ""},
		{func(context.Context, []string) error { return errors.New("exit 3") }, "bin/check -q: exit 3"},
		{func(ctx context.Context, _ []string) error { <-ctx.Done(); return ctx.Err() }, "bin/check -q: no answer in 20ms"},
	} {
		if err := c.Run(t.Context(), 20*time.Millisecond, tt.run); fmt.Sprint(err) != tt.want && (err != nil || tt.want != "") {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
}

// FuzzAnswer checks that every answer is parsed or rejected.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 302 x\r\nLocation: y\r\nContent-Length: -1\r\n\r\n", "\n", "HTTP/1.1 1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := readResponse(newReader(text))
		if err == nil && (a.code < 100 || a.code > 999 || len(a.status) > 500) {
			t.Errorf("%+v", a)
		}
	})
}

func newReader(text []byte) *bufio.Reader {
	return bufio.NewReaderSize(bytes.NewReader(text), maxLine)
}
