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
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/internal/transaction"
)

// runProgram runs the program on the stage, with the control plane at that address.
func (s *traceHost) runProgram(plane string, args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	return invoke(s.t, invocation{args: args, environ: s.environ(plane)})
}

// environ is the environment of a call with the control plane at that address.
func (s *traceHost) environ(plane string, more ...string) []string {
	return append(more, "SUPERVISOR_ROOT="+s.root, "SUPERVISOR_CONTROL_PLANE_URL="+plane)
}

// expectExit is what a call must come to; said is part of either output.
func (s *traceHost) expectExit(plane string, code int, said string, args ...string) {
	s.t.Helper()
	got, stdout, stderr := s.runProgram(plane, args...)
	if got != code || !strings.Contains(stdout+stderr, said) {
		s.t.Errorf("%q: exit %d, want %d and %q; stdout %q, stderr %q", args, got, code, said, stdout, stderr)
	}
}

// expectUnchanged tells what is not as it must be after something was refused: the
// recorded version, its folder, and nothing in staging.
func (s *traceHost) expectUnchanged(name, version string) {
	s.t.Helper()
	r, ok, err := registry.New(registry.Options{Root: s.root}).Find(s.t.Context(), name)
	if err != nil || ok != (version != "") || r.Version != version {
		s.t.Errorf("recorded is %q, want %q: %v", r.Version, version, err)
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
	nobody := httptest.NewServer(http.NotFoundHandler())
	refused := nobody.URL
	nobody.Close()
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer failing.Close()

	t.Run("CL-07 first install", func(t *testing.T) {
		s := newTraceHost(t)
		s.expectExit(s.server.URL, 0, "p_up v1.0 args=[--install]", "-e", "-P", "p_up", "-p", "--install")
		s.expectUnchanged("p_up", "1.0")
		r, _, err := registry.New(registry.Options{Root: s.root}).Find(t.Context(), "p_up")
		if err != nil || !strings.HasSuffix(r.URL, "/files/p_up_1.0.zip") || r.MD5 == "" {
			t.Errorf("recorded %+v, %v", r, err)
		}
	})
	t.Run("CL-08", func(t *testing.T) {
		s := newTraceHost(t)
		s.installPlugin("p_up", "1.0", "Persist", nil, "#!/bin/sh\necho here\n")
		s.expectExit(s.server.URL, 0, "here", "-e", "-P", "p_up")               // equal: the local one
		s.expectExit(s.server.URL, 0, "once_ok args=[]", "-e", "-P", "once_ok") // only local
		s.expectExit(s.server.URL, 0, "p_up v2.0", "-e", "-P", "p_up", "-n", "2.0")
		s.expectExit(s.server.URL, 0, "p_up v1.0", "-e", "-P", "p_up") // different: what is listed, told as it is
		s.expectExit(s.server.URL, 234, "neither", "-e", "-P", "nope")
		s.expectExit(s.server.URL, 234, "neither", "-e", "-P", "once_ok", "-n", "9")
		s.prepareHost("27")
		s.expectExit(s.server.URL, 234, "[arm x86]", "-e", "-P", "newp")
	})
	t.Run("CL-09", func(t *testing.T) {
		s := newTraceHost(t)
		s.installPlugin("p_up", "1.0", "Persist", nil, "#!/bin/sh\necho here\n")
		s.listPackage("p_up", "4.0", "4.0", map[string]any{"url": s.server.URL + "/files/none.zip"})
		s.listPackage("p_up", "5.0", "5.0", map[string]any{"url": refused + "/x.zip"})
		s.listPackage("p_up", "6.0", "6.0", map[string]any{"url": s.server.URL + "/files/p_up_2.0.zip", "md5": s.packages["p_up@2.0"]["md5"]})
		for version, code := range map[string]int{"3.0": 239, "4.0": 240, "5.0": 240, "6.0": 238} {
			s.expectExit(s.server.URL, code, "acs-plugin-manager: ", "-e", "-P", "p_up", "-n", version, "--fetchTimeout", "3")
			s.expectUnchanged("p_up", "1.0")
		}
		for _, plane := range []string{refused, failing.URL} {
			s.expectExit(plane, 0, "here", "-e", "-P", "p_up")
			s.expectExit(plane, 243, "list packages", "-e", "-P", "p_up", "-n", "2.0")
			s.expectExit(plane, 243, "list packages", "-e", "-P", "other")
			s.expectExit(plane, 243, "list packages", "--list")
		}
		s.expectUnchanged("p_up", "1.0")
	})
	t.Run("an upgrade that was cut short is the supervisor's", func(t *testing.T) {
		s := newTraceHost(t)
		s.installPlugin("p_up", "1.0", "Persist", nil, "#!/bin/sh\n")
		r, _, err := registry.New(registry.Options{Root: s.root}).Find(t.Context(), "p_up")
		if err != nil {
			t.Fatal(err)
		}
		to := r
		to.Version = "1.5"
		changes := transaction.New(s.root, nil)
		if err := changes.Save(transaction.Transaction{Name: "p_up", From: &r, To: to, Step: transaction.Switching}); err != nil {
			t.Fatal(err)
		}
		s.expectExit(s.server.URL, 232, "cut short", "-e", "-P", "p_up", "-n", "2.0")
		s.expectExit(s.server.URL, 232, "cut short", "-r", "-P", "p_up")
		s.expectUnchanged("p_up", "1.0")
		files, err := filepath.Glob(filepath.Join(s.root, "supervisor", "transactions", "*"))
		if err != nil || len(files) != 1 {
			t.Fatalf("transactions %q, %v", files, err)
		}
		if err := os.WriteFile(files[0], []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.expectExit(s.server.URL, 232, "not known", "-e", "-P", "p_up", "-n", "2.0")
		s.expectUnchanged("p_up", "1.0")
	})
	t.Run("keys are trusted: what is not signed is refused", func(t *testing.T) {
		s := newTraceHost(t)
		key, err := manifest.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		code, _, said := invoke(t, invocation{
			args: []string{"-e", "-P", "p_up"}, environ: s.environ(s.server.URL, "SUPERVISOR_UPGRADE_TRUSTED_KEYS="+key.Public().String()),
		})
		if code != exitDigest {
			t.Errorf("exit %d; %s", code, said)
		}
		s.expectUnchanged("p_up", "")
	})
	t.Run("what cannot be recorded is taken away again", func(t *testing.T) {
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
		bad.RunPath = "../../out" // which the registry refuses
		if err := m.placePackage(t.Context(), staged, bad); err == nil {
			t.Error("recorded")
		} else if e, ok := errors.AsType[*exitError](err); !ok || e.code != exitDatabaseWrite {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(s.root, "plugin", "p_up")); !os.IsNotExist(err) {
			t.Errorf("the folder of what is not recorded: %v", err)
		}
	})
}
