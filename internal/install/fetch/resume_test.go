package fetch_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"pluginsupervisor/internal/install/fetch"
)

// resumeOnce runs Resume with one attempt, as one process does.
func resumeOnce(ctx context.Context, cfg fetch.Config, url, folder string) (fetch.Sums, bool, error) {
	cfg.Tries, cfg.FirstPause = 1, time.Millisecond
	f := fetch.New(cfg)
	defer f.Close()
	return f.Resume(ctx, url, folder, nil)
}

// startTaggedServer serves the content with an ETag. The first responses break off
// after a quarter, each followed by one response 503.
func startTaggedServer(t *testing.T, breaks int, tag func(n int) string, ranges *[]string) string {
	return startServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n <= 2*breaks && n%2 == 0 {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		*ranges = append(*ranges, r.Header.Get("Range"))
		if tag := tag(n); tag != "" {
			w.Header().Set("ETag", tag)
		}
		if n <= 2*breaks {
			w = &broken{w, len(content) / 4}
		}
		http.ServeContent(w, r, "p.zip", time.Time{}, bytes.NewReader(content))
	})
}

// broken breaks the connection after so many bytes of a body.
type broken struct {
	http.ResponseWriter
	left int
}

func (b *broken) Write(p []byte) (int, error) {
	n, _ := b.ResponseWriter.Write(p[:min(len(p), b.left)])
	if b.left -= n; b.left == 0 {
		b.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, nil
}

func constantTag(tag string) func(int) string { return func(int) string { return tag } }

// checkWholeIn checks the result of a successful Resume.
func checkWholeIn(t *testing.T, folder string, sums fetch.Sums, kept bool, err error) {
	t.Helper()
	b, _ := os.ReadFile(filepath.Join(folder, fetch.Data))
	checkWhole(t, content, b, sums, err)
	if kept {
		t.Error("kept is true for a complete download, want false")
	}
}

// UP-14: a later process resumes a download.
func TestResumeInAnotherProcess(t *testing.T) {
	var ranges []string
	url, folder := startTaggedServer(t, 2, constantTag(`"one"`), &ranges), t.TempDir()
	for range 2 {
		if _, kept, err := resumeOnce(t.Context(), fetch.Config{}, url, folder); err == nil || !kept {
			t.Fatalf("interrupted: kept %v, %v, want true and an error", kept, err)
		}
	}
	sums, kept, err := resumeOnce(t.Context(), fetch.Config{}, url, folder)
	checkWholeIn(t, folder, sums, kept, err)
	q := len(content) / 4
	if want := fmt.Sprint([]string{"", fmt.Sprintf("bytes=%d-", q), fmt.Sprintf("bytes=%d-", 2*q)}); fmt.Sprint(ranges) != want {
		t.Errorf("requested %q, want %s", ranges, want)
	}
}

// UP-14: a cancelled download keeps the received part, also when cancelled while
// reading an earlier part.
func TestResumeCancelled(t *testing.T) {
	url := startServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		if n == 1 {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			w.Write(content[:1000])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		http.ServeContent(w, r, "p.zip", time.Time{}, bytes.NewReader(content))
	})
	folder := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := fetch.New(fetch.Config{})
	defer f.Close()
	_, kept, err := f.Resume(ctx, url, folder, func(done, _ int64) {
		if done == 1000 {
			cancel()
		}
	})
	if err == nil || !kept {
		t.Fatalf("cancelled: kept %v, %v, want true and an error", kept, err)
	}
	if _, kept, err := f.Resume(ctx, url, folder, nil); err == nil || !kept {
		t.Fatalf("cancelled at once: kept %v, %v, want true and an error", kept, err)
	}
	sums, kept, err := resumeOnce(t.Context(), fetch.Config{}, url, folder)
	checkWholeIn(t, folder, sums, kept, err)
}

// UP-14: a complete file of a killed process is confirmed by the server, not
// fetched again. If the server's file has changed, the download starts over.
func TestResumeExistingPart(t *testing.T) {
	for name, tt := range map[string]struct {
		tag   string
		data  []byte
		first string // range that is asked for
	}{
		"whole":                      {`"one"`, content, fmt.Sprintf("bytes=%d-", len(content)-1)},
		"another file":               {`"two"`, bytes.ToUpper(content)[:5000], "bytes=5000-"},
		"more than there can be":     {`"one"`, append(bytes.Clone(content), 'x'), ""},
		"a loss of power damaged it": {`"one"`, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var ranges []string
			url, folder := startTaggedServer(t, 0, constantTag(tt.tag), &ranges), t.TempDir()
			mark := fmt.Sprintf(`{"validator":"\"one\"","size":%d}`, len(content))
			for file, b := range map[string][]byte{"version.json": []byte(mark), fetch.Data: tt.data} {
				if err := os.WriteFile(filepath.Join(folder, file), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			sums, kept, err := resumeOnce(t.Context(), fetch.Config{}, url, folder)
			checkWholeIn(t, folder, sums, kept, err)
			if len(ranges) != 1 || ranges[0] != tt.first {
				t.Errorf("requested %q, want %q", ranges, tt.first)
			}
		})
	}
}

// UP-14: a part that a later process cannot resume is not kept.
func TestNotKept(t *testing.T) {
	var ranges []string
	full := func(step string) error {
		if step == "fetch write" {
			return syscall.ENOSPC
		}
		return nil
	}
	for name, tt := range map[string]struct {
		cfg    fetch.Config
		breaks int
		tag    string
	}{
		"no version": {fetch.Config{}, 1, ""},
		"full disk":  {fetch.Config{Step: full}, 0, `"one"`},
		"too large":  {fetch.Config{MaxSize: 1000}, 0, `"one"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, kept, err := resumeOnce(t.Context(), tt.cfg, startTaggedServer(t, tt.breaks, constantTag(tt.tag), &ranges), t.TempDir())
			if err == nil || kept {
				t.Errorf("kept %v, %v, want false and an error", kept, err)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	sums, err := fetch.Digest(t.Context(), bytes.NewReader(content))
	if err != nil || sums.SHA256 != fmt.Sprintf("%x", sha256.Sum256(content)) || sums.Size != int64(len(content)) {
		t.Errorf("%+v, %v", sums, err)
	}
}
