package packagesource

import (
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/pkgcheck/pkgchecktest"
	"pluginsupervisor/plugin"
)

// pack returns a package of hello.
func pack(t *testing.T, version string) []byte {
	t.Helper()
	config := fmt.Sprintf(`{"name":"hello","version":%q,"runPath":"bin/run","pluginType":1}`, version)
	return pkgchecktest.Zip(t, pkgchecktest.Package(config)...)
}

// serveControlPlane starts a control plane that lists one package with the members
// sums, and serves it after hold returned. It returns a configuration for it.
func serveControlPlane(t *testing.T, version, sums string, body []byte, hold func()) config.Config {
	t.Helper()
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == control.PathList {
			fmt.Fprintf(w, `{"code":0,"pluginList":[{"name":"hello","version":%q,"url":"%s/hello.zip"%s}]}`, version, s.URL, sums)
			return
		}
		hold()
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body)
	}))
	t.Cleanup(s.Close)
	cfg := config.Default()
	cfg.Root, cfg.ControlPlane.URL = t.TempDir(), s.URL
	return cfg
}

func open(t *testing.T, cfg config.Config) (*Source, *logtest.Hook) {
	t.Helper()
	log, hook := logtest.NewNullLogger()
	c, err := control.New(ClientConfig(cfg), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	s, err := New(cfg, c, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, hook
}

// CL-07, CL-09: a package that the control plane lists is verified by its best digest,
// and one without a SHA-256 is logged.
func TestStageFromTheControlPlane(t *testing.T) {
	body := pack(t, "2.0")
	sha, sum := fmt.Sprintf("%x", sha256.Sum256(body)), fmt.Sprintf("%x", md5.Sum(body))
	for name, c := range map[string]struct {
		sums string
		by   plugin.Verified
		want string // of the error
	}{
		"CL-09 sha256":              {fmt.Sprintf(`,"md5":"0","sha256":%q`, sha), plugin.BySHA256, ""},
		"CL-09 md5 only":            {fmt.Sprintf(`,"md5":%q`, sum), plugin.ByMD5, ""},
		"CL-09 neither":             {"", plugin.ByNothing, ""},
		"CL-09 the digest differs":  {`,"md5":"00"`, "", "MD5"},
		"CL-09 the better one does": {fmt.Sprintf(`,"md5":%q,"sha256":"00"`, sum), "", "SHA-256"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := serveControlPlane(t, "2.0", c.sums, body, func() {})
			s, log := open(t, cfg)
			staged, err := s.Stage(t.Context(), plugin.Change{Name: "hello", Version: "2.0"})
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("staged with error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer staged.Discard()
			if staged.Verified != c.by || staged.Config.Version != "2.0" {
				t.Errorf("verified by %q: %+v", staged.Verified, staged.Config)
			}
			if line := log.LastEntry().Message; strings.Contains(line, "without a SHA-256") != c.by.IsUnverified() {
				t.Errorf("verified by %q, logged %q", c.by, line)
			}
		})
	}
}

func TestStageUnlistedVersion(t *testing.T) {
	s, _ := open(t, serveControlPlane(t, "2.0", "", nil, func() {}))
	if _, err := s.Stage(t.Context(), plugin.Change{Name: "hello", Version: "3.0"}); err == nil || !strings.Contains(err.Error(), "no such package") {
		t.Errorf("CL-08 not listed: %v", err)
	}
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("left in staging: %d, %v", n, err)
	}
}

// A package is listed while it is being fetched, and not afterwards.
func TestFetches(t *testing.T) {
	asked, resume := make(chan struct{}), make(chan struct{})
	cfg := serveControlPlane(t, "2.0", "", pack(t, "2.0"), func() { close(asked); <-resume })
	s, _ := open(t, cfg)
	finished := make(chan error, 1)
	go func() {
		staged, err := s.Stage(t.Context(), plugin.Change{Name: "hello", Version: "2.0"})
		if err == nil {
			err = staged.Discard()
		}
		finished <- err
	}()
	<-asked
	if diff := cmp.Diff([]plugin.FetchProgress{{Name: "hello", Version: "2.0", Total: -1}}, s.Fetches()); diff != "" {
		t.Errorf("fetches (-want +got):\n%s", diff)
	}
	close(resume)
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	if left := s.Fetches(); len(left) > 0 {
		t.Errorf("after the fetch: %+v", left)
	}
	if left, err := os.ReadDir(filepath.Join(cfg.Root, "supervisor", "staging")); err != nil || len(left) > 0 {
		t.Errorf("left in staging: %v, %v", left, err)
	}
}

func TestActiveFetches(t *testing.T) {
	var o activeFetches
	b, bArrived := o.start("b", "1")
	a, aArrived := o.start("a", "1")
	b(1, 10)
	a(2, -1)
	want := []plugin.FetchProgress{{Name: "a", Version: "1", Done: 2, Total: -1}, {Name: "b", Version: "1", Done: 1, Total: 10}}
	if diff := cmp.Diff(want, o.list()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	aArrived()
	bArrived()
	bArrived()
	if left := o.list(); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}
