package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/install/manifest"
	"pluginsupervisor/internal/transaction"
)

// runProgram runs the program on the host, with the control plane at that URL.
func (s *traceHost) runProgram(url string, args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	return invoke(s.t, invocation{args: args, environ: newEnviron(s.root, url)})
}

// expectExit runs the program and checks its exit code, and that part is in its output
// or messages.
func (s *traceHost) expectExit(url string, code int, part string, args ...string) {
	s.t.Helper()
	got, stdout, stderr := s.runProgram(url, args...)
	if got != code || !strings.Contains(stdout+stderr, part) {
		s.t.Errorf("%q: exit %d, want %d and %q; stdout %q, stderr %q", args, got, code, part, stdout, stderr)
	}
}

// expectUnchanged checks the recorded version and its folder, and that staging is
// empty, after a rejected change.
func (s *traceHost) expectUnchanged(name, version string) {
	s.t.Helper()
	if r, ok := findRecord(s.t, s.root, name); ok != (version != "") || r.Version != version {
		s.t.Errorf("recorded version %q, want %q", r.Version, version)
	}
	if _, err := os.Stat(filepath.Join(s.root, "plugin", name, version, "main.sh")); version != "" && err != nil {
		s.t.Error(err)
	}
	entries, _ := os.ReadDir(filepath.Join(s.root, "plugin", name))
	if version != "" && len(entries) != 1 {
		s.t.Errorf("versions on the host: %v", entries)
	}
	if left, _ := filepath.Glob(filepath.Join(s.root, "supervisor", "staging", "*", "*")); len(left) > 0 {
		s.t.Errorf("left in staging: %q", left)
	}
}

func TestOnline(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer failing.Close()

	t.Run("CL-07 first install", func(t *testing.T) {
		s := newTraceHost(t)
		s.expectExit(s.URL, 0, "p_up v1.0 args=[--install]", "-e", "-P", "p_up", "-p", "--install")
		s.expectUnchanged("p_up", "1.0")
		if r := readRecord(t, s.root, "p_up"); !strings.HasSuffix(r.URL, "/files/p_up_1.0.zip") || r.MD5 == "" {
			t.Errorf("record %+v, want the URL and the MD5 of the list", r)
		}
	})
	t.Run("CL-08", func(t *testing.T) {
		s := newTraceHost(t)
		s.installPlugin("p_up", "1.0", "Persist", nil, "#!/bin/sh\necho here\n")
		s.expectExit(s.URL, 0, "here", "-e", "-P", "p_up")               // equal: the local one
		s.expectExit(s.URL, 0, "once_ok args=[]", "-e", "-P", "once_ok") // only local
		s.expectExit(s.URL, 0, "p_up v2.0", "-e", "-P", "p_up", "-n", "2.0")
		s.expectExit(s.URL, 0, "p_up v1.0", "-e", "-P", "p_up") // different: the listed one
		s.expectExit(s.URL, 234, "neither", "-e", "-P", "nope")
		s.expectExit(s.URL, 234, "neither", "-e", "-P", "once_ok", "-n", "9")
		s.prepareHost("27")
		s.expectExit(s.URL, 234, "[arm x86]", "-e", "-P", "newp")
	})
	t.Run("CL-09", func(t *testing.T) {
		s := newTraceHost(t)
		s.installPlugin("p_up", "1.0", "Persist", nil, "#!/bin/sh\necho here\n")
		s.listPackage("p_up", "4.0", "4.0", fields{"url": s.URL + "/files/none.zip"})
		s.listPackage("p_up", "5.0", "5.0", fields{"url": closed.URL + "/x.zip"})
		s.listPackage("p_up", "6.0", "6.0", fields{"url": s.URL + "/files/p_up_2.0.zip", "md5": s.packages["p_up@2.0"]["md5"]})
		for version, code := range map[string]int{"3.0": 239, "4.0": 240, "5.0": 240, "6.0": 238} {
			s.expectExit(s.URL, code, "acs-plugin-manager: ", "-e", "-P", "p_up", "-n", version, "--fetchTimeout", "3")
			s.expectUnchanged("p_up", "1.0")
		}
		for _, url := range []string{closed.URL, failing.URL} {
			s.expectExit(url, 0, "here", "-e", "-P", "p_up")
			s.expectExit(url, 243, "list packages", "-e", "-P", "p_up", "-n", "2.0")
			s.expectExit(url, 243, "list packages", "-e", "-P", "other")
			s.expectExit(url, 243, "list packages", "--list")
		}
		s.expectUnchanged("p_up", "1.0")
	})
	t.Run("an interrupted upgrade is left to the supervisor", func(t *testing.T) {
		s := newTraceHost(t)
		s.installPlugin("p_up", "1.0", "Persist", nil, "#!/bin/sh\n")
		r := readRecord(t, s.root, "p_up")
		to := r
		to.Version = "1.5"
		changes := transaction.New(s.root, nil)
		if err := changes.Save(transaction.Transaction{Name: "p_up", From: &r, To: to, Step: transaction.Switching}); err != nil {
			t.Fatal(err)
		}
		s.expectExit(s.URL, 232, "was interrupted", "-e", "-P", "p_up", "-n", "2.0")
		s.expectExit(s.URL, 232, "was interrupted", "-r", "-P", "p_up")
		s.expectUnchanged("p_up", "1.0")
		files, err := filepath.Glob(filepath.Join(s.root, "supervisor", "transactions", "*"))
		if err != nil || len(files) != 1 {
			t.Fatalf("transactions %q, %v", files, err)
		}
		if err := os.WriteFile(files[0], []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.expectExit(s.URL, 232, "cannot check for an interrupted upgrade", "-e", "-P", "p_up", "-n", "2.0")
		s.expectUnchanged("p_up", "1.0")
	})
	t.Run("an unsigned package", func(t *testing.T) {
		s := newTraceHost(t)
		key, err := manifest.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		code, _, stderr := invoke(t, invocation{
			args: []string{"-e", "-P", "p_up"}, environ: newEnviron(s.root, s.URL, "SUPERVISOR_UPGRADE_TRUSTED_KEYS="+key.Public().String()),
		})
		if code != exitDigest {
			t.Errorf("exit %d, want %d; stderr %s", code, exitDigest, stderr)
		}
		s.expectUnchanged("p_up", "")
	})
	t.Run("a version that cannot be recorded is removed", func(t *testing.T) {
		s := newTraceHost(t)
		m, err := newManager(options{}, invocation{environ: []string{"SUPERVISOR_ROOT=" + s.root}, streams: streams{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}})
		if err != nil {
			t.Fatal(err)
		}
		defer m.close()
		i, err := m.newInstaller()
		if err != nil {
			t.Fatal(err)
		}
		defer i.Close()
		staged, err := i.Stage(t.Context(), install.Request{Source: filepath.Join(s.files, "p_up_1.0.zip")})
		if err != nil {
			t.Fatal(err)
		}
		defer m.discardStaged(staged)
		bad := staged.Config.Record()
		bad.RunPath = "../../out" // which the registry rejects
		if err := m.placePackage(t.Context(), staged, bad); err == nil {
			t.Error("a bad record is no error")
		} else if e, ok := errors.AsType[*exitError](err); !ok || e.code != exitDatabaseWrite {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(s.root, "plugin", "p_up")); !os.IsNotExist(err) {
			t.Errorf("folder of the unrecorded version: %v, want none", err)
		}
	})
}
