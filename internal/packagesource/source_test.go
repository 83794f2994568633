package packagesource

import (
	"archive/zip"
	"bytes"
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
	"pluginsupervisor/plugin"
)

// pack is a package of hello.
func pack(t *testing.T, version string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range map[string]string{
		"config.json": fmt.Sprintf(`{"name":"hello","version":%q,"runPath":"run","pluginType":1}`, version), "run": "#!/bin/sh\n",
	} {
		h := &zip.FileHeader{Name: name}
		h.SetMode(0o755)
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// plane is a control plane that lists one package, with what sums says, and
// serves it after hold returned.
func plane(t *testing.T, version, sums string, body []byte, hold func()) config.Config {
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

// CL-07, CL-09: a package that the control plane lists is verified by the best
// that it offers, and what is weak is said to be.
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
			cfg := plane(t, "2.0", c.sums, body, func() {})
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
			if said := log.LastEntry().Message; strings.Contains(said, "weakly") != c.by.IsUnverified() {
				t.Errorf("said %q of %s", said, c.by)
			}
		})
	}
}

func TestStageWhatIsNotListed(t *testing.T) {
	s, _ := open(t, plane(t, "2.0", "", nil, func() {}))
	if _, err := s.Stage(t.Context(), plugin.Change{Name: "hello", Version: "3.0"}); err == nil || !strings.Contains(err.Error(), "no such package") {
		t.Errorf("CL-08 not listed: %v", err)
	}
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("left in staging: %d, %v", n, err)
	}
}

// What is on its way can be seen while it is, and not after.
func TestFetches(t *testing.T) {
	asked, resume := make(chan struct{}), make(chan struct{})
	cfg := plane(t, "2.0", "", pack(t, "2.0"), func() { close(asked); <-resume })
	s, _ := open(t, cfg)
	ended := make(chan error, 1)
	go func() {
		staged, err := s.Stage(t.Context(), plugin.Change{Name: "hello", Version: "2.0"})
		if err == nil {
			err = staged.Discard()
		}
		ended <- err
	}()
	<-asked
	if diff := cmp.Diff([]plugin.FetchProgress{{Name: "hello", Version: "2.0", Total: -1}}, s.Fetches()); diff != "" {
		t.Errorf("on its way (-want +got):\n%s", diff)
	}
	close(resume)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if left := s.Fetches(); len(left) > 0 {
		t.Errorf("still on its way: %+v", left)
	}
	if left, err := os.ReadDir(filepath.Join(cfg.Root, "supervisor", "staging")); err != nil || len(left) > 0 {
		t.Errorf("left in staging: %v, %v", left, err)
	}
}

func TestOnTheWay(t *testing.T) {
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
