package fetch_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/install/fetch"
)

var content = bytes.Repeat([]byte("0123456789abcdef"), 16<<10) // 256 KiB

// startServer answers the nth request, from 1.
func startServer(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) string {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(int(n.Add(1)), w, r) }))
	t.Cleanup(s.Close)
	return s.URL
}

func fetchFile(t *testing.T, cfg fetch.Config, source string) ([]byte, fetch.Sums, error) {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	cfg.FirstPause = time.Millisecond
	f := fetch.New(cfg)
	defer f.Close()
	to := filepath.Join(t.TempDir(), "package.part")
	sums, err := f.Fetch(t.Context(), source, to, nil)
	b, _ := os.ReadFile(to)
	return b, sums, err
}

func checkWhole(t *testing.T, want, got []byte, sums fetch.Sums, err error) {
	t.Helper()
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, %v, want %d", len(got), err, len(want))
	}
	if s := fmt.Sprintf("%x", sha256.Sum256(want)); sums.SHA256 != s || sums.MD5 != fmt.Sprintf("%x", md5.Sum(want)) || sums.Size != int64(len(want)) {
		t.Errorf("sums %+v, want sha256 %s", sums, s)
	}
}

func checkRefused(t *testing.T, err error, code int, message string) {
	t.Helper()
	var e *failure.Error
	if !errors.As(err, &e) || e.ExitCode() != code || !strings.Contains(err.Error(), message) {
		t.Errorf("got %v, want exit code %d and %q", err, code, message)
	}
}

func TestLocal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.zip")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{path, "file://" + path} {
		b, sums, err := fetchFile(t, fetch.Config{}, source)
		checkWhole(t, content, b, sums, err)
	}
	_, _, err := fetchFile(t, fetch.Config{}, path+".none")
	checkRefused(t, err, 234, "not found") // CL-11
	fifo := path + ".fifo"
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err = fetchFile(t, fetch.Config{}, fifo)
	checkRefused(t, err, 235, "not a regular file")
	_, _, err = fetchFile(t, fetch.Config{}, "ftp://me:secret@host/p.zip")
	checkRefused(t, err, 240, "URL of http, https or file")
	if err := os.Truncate(path, 4<<30); err != nil { // sparse
		t.Fatal(err)
	}
	b, _, err := fetchFile(t, fetch.Config{}, path)
	checkRefused(t, err, 236, "at most 536870912 allowed") // CL-13
	if len(b) > 0 {
		t.Errorf("%d bytes were copied first", len(b))
	}
}

// sendHalf sends half of b and breaks the connection.
func sendHalf(w http.ResponseWriter, b []byte) {
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	w.Write(b[:len(b)/2])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func TestResume(t *testing.T) {
	var ranges atomic.Int64
	url := startServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		if n == 1 {
			sendHalf(w, content)
		}
		if r.Header.Get("Range") != "" && r.Header.Get("If-Range") == `"one"` {
			ranges.Add(1)
		}
		http.ServeContent(w, r, "p.zip", time.Time{}, bytes.NewReader(content))
	})
	b, sums, err := fetchFile(t, fetch.Config{}, url)
	checkWhole(t, content, b, sums, err)
	if ranges.Load() != 1 {
		t.Errorf("%d requests with a range, want 1", ranges.Load())
	}
}

func TestChangedBetween(t *testing.T) {
	other := bytes.ToUpper(content[:100<<10])
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request){
		"If-Range honoured": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"two"`)
			http.ServeContent(w, r, "p.zip", time.Time{}, bytes.NewReader(other))
		},
		"If-Range ignored": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"two"`)
			r.Header.Del("If-Range")
			http.ServeContent(w, r, "p.zip", time.Time{}, bytes.NewReader(other))
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := startServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
				if n == 1 {
					w.Header().Set("ETag", `"one"`)
					sendHalf(w, content)
				}
				answer(w, r)
			})
			b, sums, err := fetchFile(t, fetch.Config{}, url)
			checkWhole(t, other, b, sums, err)
		})
	}
}

func TestStatus(t *testing.T) {
	url := startServer(t, func(_ int, w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	_, _, err := fetchFile(t, fetch.Config{}, url)
	checkRefused(t, err, 240, "404") // CL-09

	url = startServer(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n < 3 {
			http.Error(w, "not yet", http.StatusInternalServerError)
			return
		}
		w.Write(content)
	})
	b, sums, err := fetchFile(t, fetch.Config{}, url)
	checkWhole(t, content, b, sums, err)

	_, _, err = fetchFile(t, fetch.Config{Tries: 2}, startServer(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "never", http.StatusServiceUnavailable)
	}))
	checkRefused(t, err, 240, "503")

	closed := httptest.NewServer(nil)
	closed.Close()
	_, _, err = fetchFile(t, fetch.Config{Tries: 2}, closed.URL)
	checkRefused(t, err, 240, "refused") // CL-09
}

func TestRedirects(t *testing.T) {
	url := startServer(t, func(_ int, w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) })
	_, _, err := fetchFile(t, fetch.Config{}, url)
	checkRefused(t, err, 240, "redirects")
	url = startServer(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "file:///etc/passwd")
		w.WriteHeader(http.StatusFound)
	})
	_, _, err = fetchFile(t, fetch.Config{}, url)
	checkRefused(t, err, 240, "neither http nor https")

	plain := startServer(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.Write(content) })
	secure := httptest.NewTLSServer(http.RedirectHandler(plain, http.StatusFound))
	defer secure.Close()
	_, _, err = fetchFile(t, fetch.Config{TLS: secure.Client().Transport.(*http.Transport).TLSClientConfig}, secure.URL)
	checkRefused(t, err, 240, "from https to http")
}

func TestTooLarge(t *testing.T) {
	for name, length := range map[string]string{"known": fmt.Sprint(len(content)), "unknown": ""} {
		t.Run(name, func(t *testing.T) {
			url := startServer(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				w.(http.Flusher).Flush()
				w.Write(content)
			})
			_, _, err := fetchFile(t, fetch.Config{MaxSize: 1000}, url)
			checkRefused(t, err, 240, "1000")
		})
	}
}

// sendSlowly sends so many bytes at each tick, until the client disconnects.
func sendSlowly(w http.ResponseWriter, r *http.Request, every time.Duration, bytes int) {
	w.Header().Set("Content-Length", "1000000")
	w.(http.Flusher).Flush()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.Write(content[:bytes])
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// UP-14: the error names the setting that stopped the download. A few bytes do not
// count as progress.
func TestBounds(t *testing.T) {
	slow := startServer(t, func(_ int, w http.ResponseWriter, r *http.Request) { sendSlowly(w, r, 5*time.Millisecond, 1) })
	cfg := fetch.Config{Stall: 50 * time.Millisecond, MinRate: 1 << 20, Tries: 2}
	_, _, err := fetchFile(t, cfg, slow)
	checkRefused(t, err, 240, "less than 1048576 bytes a second for 50ms (install.min_rate, install.stall)")
	silent := startServer(t, func(_ int, w http.ResponseWriter, r *http.Request) { sendSlowly(w, r, time.Hour, 1) })
	_, _, err = fetchFile(t, cfg, silent)
	checkRefused(t, err, 240, "sent nothing for 50ms (install.stall)")
	_, _, err = fetchFile(t, fetch.Config{Timeout: 50 * time.Millisecond}, slow)
	checkRefused(t, err, 240, "not complete within 50ms (install.fetch_timeout)")
	if !errors.Is(err, context.DeadlineExceeded) || strings.Count(err.Error(), "not complete") != 1 {
		t.Errorf("%v, want the deadline, named once", err)
	}
}

// UP-14: a download that makes progress may take much longer than Stall.
func TestSlowLink(t *testing.T) {
	body := content[:40<<10]
	url := startServer(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		for i := 0; i < len(body); i += 1 << 10 {
			w.Write(body[i : i+1<<10])
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	})
	b, sums, err := fetchFile(t, fetch.Config{Stall: 400 * time.Millisecond, Tries: 1}, url)
	checkWhole(t, body, b, sums, err)
}

func TestDiskFull(t *testing.T) {
	url := startServer(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.Write(content) })
	for _, name := range []string{"fetch create", "fetch write", "fetch fsync"} {
		_, _, err := fetchFile(t, fetch.Config{Step: func(step string) error {
			if step == name {
				return syscall.ENOSPC
			}
			return nil
		}}, url)
		var e *failure.Error
		if !errors.As(err, &e) || !e.DiskFull() {
			t.Errorf("at %s: %v, want the disk to be full", name, err)
		}
	}
}
