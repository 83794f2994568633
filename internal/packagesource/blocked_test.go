package packagesource

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/control"
	"pluginsupervisor/plugin"
)

// packageOf returns the ID of the package that an error is about.
func packageOf(t *testing.T, err error) string {
	t.Helper()
	var failed *plugin.PackageError
	if !errors.As(err, &failed) || failed.Package == "" {
		t.Fatalf("error %v, want one about a package", err)
	}
	return failed.Package
}

// UP-14: a package that must not be fetched now is not; one at another place, or with
// another digest, is. A version that is not listed has the same package ID each time.
func TestAvoid(t *testing.T) {
	fetched, listed := 0, true
	var s *httptest.Server
	path, sum := "/a.zip", "00"
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != control.PathList:
			fetched++
			_, _ = w.Write(pack(t, "2.0"))
		case listed:
			fmt.Fprintf(w, `{"code":0,"pluginList":[{"name":"hello","version":"2.0","url":"%s%s","md5":%q}]}`, s.URL, path, sum)
		default:
			fmt.Fprint(w, `{"code":0,"pluginList":[]}`)
		}
	}))
	defer s.Close()
	cfg := config.Default()
	cfg.Root, cfg.ControlPlane.URL = t.TempDir(), s.URL
	source, _ := open(t, cfg)
	change := plugin.Change{Name: "hello", Version: "2.0"}
	try := func(wantFetched int) (id string) {
		t.Helper()
		before := fetched
		_, err := source.Stage(t.Context(), change)
		if fetched-before != wantFetched || errors.Is(err, plugin.ErrAvoided) != (wantFetched == 0 && change.Avoid != "") {
			t.Errorf("fetched %d times, want %d: %v", fetched-before, wantFetched, err)
		}
		return packageOf(t, err)
	}
	change.Avoid = try(1)
	try(0)
	sum = "11"
	change.Avoid = try(1)
	path = "/b.zip"
	change.Avoid = try(1)
	try(0)
	listed = false
	change.Avoid = ""
	change.Avoid = try(0)
	try(0)

	s.Close()
	var failed *plugin.PackageError
	if _, err := source.Stage(t.Context(), change); err == nil || errors.As(err, &failed) {
		t.Errorf("without the control plane: %v, want no error about a package", err)
	}
}

// UP-14: an incomplete download is kept for the next process, within the configured
// bounds.
func TestDownloadsAreKept(t *testing.T) {
	body := pack(t, "2.0")
	ranges := []string{}
	cut := true
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == control.PathList {
			fmt.Fprintf(w, `{"code":0,"pluginList":[{"name":"hello","version":"2.0","url":"%s/a.zip"}]}`, s.URL)
			return
		}
		ranges = append(ranges, r.Header.Get("Range"))
		w.Header().Set("ETag", `"one"`)
		if cut {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			_, _ = w.Write(body[:100])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 100-%d/%d", len(body)-1, len(body)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(body[100:])
	}))
	defer s.Close()
	cfg := config.Default()
	cfg.Root, cfg.ControlPlane.URL, cfg.Install.FetchTimeout = t.TempDir(), s.URL, 200*time.Millisecond
	first, _ := open(t, cfg)
	change := plugin.Change{Name: "hello", Version: "2.0"}
	_, err := first.Stage(t.Context(), change)
	packageOf(t, err)
	cut, ranges = false, nil
	second, _ := open(t, cfg)
	if n, err := second.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	staged, err := second.Stage(t.Context(), change)
	if err != nil {
		t.Fatal(err)
	}
	if err := staged.Discard(); err != nil {
		t.Fatal(err)
	}
	if len(ranges) != 1 || ranges[0] != "bytes=100-" {
		t.Errorf("asked for %q", ranges)
	}
	if left, err := os.ReadDir(filepath.Join(cfg.Root, "supervisor", "staging")); err != nil || len(left) > 0 {
		t.Errorf("left in staging: %v, %v", left, err)
	}
}
