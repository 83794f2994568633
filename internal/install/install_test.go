package install_test

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
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/internal/pkgcheck/pkgchecktest"
)

func TestStageAndPlace(t *testing.T) {
	for _, top := range []string{"", "agent/", "agent_1.0/"} {
		t.Run("top folder "+top, func(t *testing.T) {
			root := newRoot(t)
			packed := files{}
			for name, body := range sample() {
				packed[top+name] = body
			}
			i := newInstaller(t, root, nil)
			s, err := i.Stage(t.Context(), install.Request{Source: writePackage(t, packed.zip(t)), Name: "agent"})
			if err != nil {
				t.Fatal(err)
			}
			if s.Verified != install.ByNothing || !s.Verified.IsUnverified() || s.Config.Version != "1.0" {
				t.Errorf("staged %+v", s)
			}
			_, err = s.Place(install.Refuse)
			checkRefused(t, err, 238, "installed already")
			dir, err := s.Place(install.Replace)
			if err != nil || dir != filepath.Join(root, "plugin/agent/1.0") {
				t.Fatalf("placed at %s, %v", dir, err)
			}
			if err := s.Discard(); err != nil {
				t.Fatal(err)
			}
			want := []string{"plugin/agent/1.0/.origin.json", "plugin/agent/1.0/bin/run", "plugin/agent/1.0/config.json"}
			if diff := cmp.Diff(want, listFiles(t, root)); diff != "" {
				t.Error(diff)
			}
			info, err := os.Stat(dir)
			if err != nil || info.Mode().Perm() != 0o755 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
		})
	}
}

// Withdraw restores the version's folder, or removes it with the plugin's folder.
func TestWithdraw(t *testing.T) {
	root := newRoot(t)
	i := newInstaller(t, root, nil)
	for _, name := range []string{"agent", "other"} {
		want := listFiles(t, root)
		packed := sample().withFile("config.json", strings.Replace(sample()["config.json"], "agent", name, 1)).withFile("new", "x")
		s, err := i.Stage(t.Context(), install.Request{Source: writePackage(t, packed.zip(t))})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Withdraw(); err != nil { // nothing is placed yet
			t.Error(err)
		}
		dir, err := s.Place(install.Replace)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "new")); err != nil {
			t.Error(err)
		}
		if err := s.Withdraw(); err != nil {
			t.Error(err)
		}
		if err := s.Discard(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, listFiles(t, root)); diff != "" {
			t.Error(diff)
		}
		if _, err := os.Stat(filepath.Join(root, "plugin", "other")); !os.IsNotExist(err) {
			t.Errorf("folder of a plugin that is not installed: %v, want none", err)
		}
	}
}

// CL-14: a package that is only verified leaves no file.
func TestDiscard(t *testing.T) {
	root := newRoot(t)
	i := newInstaller(t, root, nil)
	s, err := i.Stage(t.Context(), install.Request{Source: writePackage(t, sample().zip(t))})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Discard(); err != nil {
		t.Fatal(err)
	}
	if err := s.Discard(); err != nil {
		t.Errorf("second Discard: %v", err)
	}
	checkUntouched(t, root)
	if _, err := s.Place(install.Replace); err == nil {
		t.Error("placed after Discard")
	}
	checkUntouched(t, root)
}

// CL-11, CL-13: a host refuses the packages that pkgcheck refuses, with the same
// text, and no file is left.
func TestRefusedPackages(t *testing.T) {
	codes := map[pkgcheck.Reason]int{pkgcheck.NotZip: 235, pkgcheck.BadEntry: 236, pkgcheck.BadConfig: 237, pkgcheck.NotAcceptable: 238}
	for _, r := range pkgchecktest.Refusals(t) {
		t.Run(r.Name, func(t *testing.T) {
			root := newRoot(t)
			i := newInstaller(t, root, func(c *install.Config) { c.Limits = pkgcheck.Limits{} })
			_, err := i.Stage(t.Context(), install.Request{Source: writePackage(t, r.Package)})
			checkRefused(t, err, codes[r.Reason], r.Says)
			if want := pkgchecktest.Words(t, r.Package); err != nil && err.Error() != want {
				t.Errorf("error %q, want that of pkgcheck: %q", err, want)
			}
			checkUntouched(t, root)
		})
	}
}

func TestAcceptedPackages(t *testing.T) {
	for _, a := range pkgchecktest.Acceptances(t) {
		t.Run(a.Name, func(t *testing.T) {
			i := newInstaller(t, newRoot(t), nil)
			s, err := i.Stage(t.Context(), install.Request{Source: writePackage(t, a.Package), Name: "agent", Version: "1.0"})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Discard(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A host also checks its platform, the request and its limits.
func TestHostChecks(t *testing.T) {
	config := func(old, new string) files {
		return sample().withFile("config.json", strings.Replace(sample()["config.json"], old, new, 1))
	}
	for _, tt := range []struct {
		name    string
		zip     []byte
		code    int
		message string
	}{
		{"CL-11 empty", nil, 235, "not a zip"},
		{"CL-11 wrong name", config("agent", "other").zip(t), 238, "holds other"},
		{"CL-11 wrong version", config("1.0", "1.1").zip(t), 238, "holds agent 1.1"},
		{"CL-11 wrong arch", config("x64", "arm").zip(t), 238, "is for arm"},
		{"CL-11 wrong os", config("linux", "windows").zip(t), 238, "is for windows"},
		{"CL-13 size", sample().withFile("zeros", strings.Repeat("\x00", 9<<20)).zip(t), 236, "more than 8388608"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := newRoot(t)
			_, err := newInstaller(t, root, nil).Stage(t.Context(), install.Request{Source: writePackage(t, tt.zip), Name: "agent", Version: "1.0"})
			checkRefused(t, err, tt.code, tt.message)
			checkUntouched(t, root)
		})
	}
}

func TestDigests(t *testing.T) {
	z := sample().zip(t)
	sha, sum := fmt.Sprintf("%x", sha256.Sum256(z)), fmt.Sprintf("%x", md5.Sum(z))
	for _, tt := range []struct {
		name    string
		r       install.Request
		require bool
		by      install.Verified
		message string
	}{
		{"CL-09 sha256", install.Request{SHA256: sha}, true, install.BySHA256, ""},
		{"CL-09 any case", install.Request{SHA256: strings.ToUpper(sha)}, false, install.BySHA256, ""},
		{"CL-09 the stronger one counts", install.Request{SHA256: sha, MD5: "deadbeef"}, false, install.BySHA256, ""},
		{"CL-09 md5 is unverified", install.Request{MD5: strings.ToUpper(sum)}, false, install.ByMD5, ""},
		{"CL-09 none", install.Request{}, false, install.ByNothing, ""},
		{"CL-09 md5 refused", install.Request{MD5: sum}, true, "", "no SHA-256"},
		{"CL-09 sha256 differs", install.Request{SHA256: sum, MD5: sum}, false, "", "expected \"" + sum},
		{"CL-09 md5 differs", install.Request{MD5: "deadbeef"}, false, "", "expected \"deadbeef\""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := newRoot(t)
			i := newInstaller(t, root, func(c *install.Config) { c.RequireSHA256 = tt.require })
			tt.r.Source = writePackage(t, z)
			s, err := i.Stage(t.Context(), tt.r)
			if tt.message != "" {
				checkRefused(t, err, 239, tt.message)
				checkUntouched(t, root)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Discard()
			if s.Verified != tt.by || s.Verified.IsUnverified() != (tt.by == install.ByMD5 || tt.by == install.ByNothing) {
				t.Errorf("verified by %s, want %s", s.Verified, tt.by)
			}
		})
	}
}

// CL-09: no file is left after an error of the server.
func TestServer(t *testing.T) {
	z := sample().zip(t)
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		code   int
	}{
		"CL-09 not found": {http.NotFound, 240},
		"CL-09 HTML":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, 235},
		"CL-09 closes midway": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(z)))
			w.Write(z[:100])
		}, 240},
		"CL-09 stalls": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(z)))
			w.Write(z[:1])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, 240},
		"CL-09 redirects to a file": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		}, 240},
		"CL-09 redirects to itself": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}, 240},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			root := newRoot(t)
			i := newInstaller(t, root, func(c *install.Config) { c.Fetch.Stall = 200 * time.Millisecond })
			_, err := i.Stage(t.Context(), install.Request{Source: server.URL + "/p.zip"})
			checkRefused(t, err, tt.code, "")
			checkUntouched(t, root)
		})
	}
}
