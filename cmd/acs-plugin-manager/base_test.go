package main

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pluginsupervisor/internal/config"
)

// writeCertificate writes the certificate of a server to a file.
func writeCertificate(t *testing.T, server *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSetRoot checks that BASE is the configured root, else the installation of this
// program, and never an empty folder (CL-19).
func TestSetRoot(t *testing.T) {
	h := newSamplesHost(t)
	installation, empty, other := h.newRoot(t, "argy_1.0.zip"), h.newRoot(t), h.newRoot(t)
	config := filepath.Join(t.TempDir(), "supervisor.yaml")
	if err := os.WriteFile(config, []byte("root: "+installation+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		i    invocation
		code int
		want string // part of either output
	}{
		"beside the database":       {invocation{executable: filepath.Join(installation, "bin", "acs-plugin-manager")}, 0, "argy"},
		"the configuration":         {invocation{executable: filepath.Join(empty, "1.0", "acs-plugin-manager"), config: config}, 0, "argy"},
		"the environment":           {invocation{executable: filepath.Join(empty, "1.0", "acs-plugin-manager"), environ: []string{"SUPERVISOR_ROOT=" + installation}}, 0, "argy"},
		"an empty root, configured": {invocation{environ: []string{"SUPERVISOR_ROOT=" + other}}, 0, "Name"},
		"nothing installed yet":     {invocation{executable: filepath.Join(empty, "2.2.3.578", "acs-plugin-manager")}, exitDatabaseRead, filepath.Join(empty, "plugin")},
		"no installation":           {invocation{executable: filepath.Join(empty, "bin", "acs-plugin-manager")}, exitDatabaseRead, filepath.Join(empty, "plugin")},
		"a missing configured root": {
			invocation{environ: []string{"SUPERVISOR_ROOT=" + filepath.Join(empty, "gone")}}, exitDatabaseRead, filepath.Join(empty, "gone", "plugin"),
		},
	} {
		t.Run("CL-19 "+name, func(t *testing.T) {
			test.i.args = []string{"--list", "--local"}
			code, stdout, stderr := invoke(t, test.i)
			if code != test.code || !strings.Contains(stdout+stderr, test.want) || code != 0 && stdout != "" {
				t.Errorf("exit %d, want %d and %q; stdout %s; stderr %s", code, test.code, test.want, stdout, stderr)
			}
		})
	}
	i := h.invocation(filepath.Join(empty, "new"), "-e", "-F", filepath.Join(h.files, "argy_1.0.zip"))
	if code, _, stderr := invoke(t, i); code != 0 {
		t.Errorf("installation into a missing root: exit %d, want 0; stderr %s", code, stderr)
	}
}

// TestSetControlPlane checks which environment variables set the control plane when the
// configuration does not (CL-19).
func TestSetControlPlane(t *testing.T) {
	beside := filepath.Join(t.TempDir(), "2.2.3.578")
	bundled := filepath.Join(beside, "config", "GlobalSignRootCA.crt")
	if err := os.MkdirAll(filepath.Dir(bundled), 0o755); err != nil {
		t.Fatal(err)
	}
	given := filepath.Join(t.TempDir(), "ca.pem")
	for _, path := range []string{bundled, given} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const ownURL = "http://127.0.0.1:8700"
	for name, test := range map[string]struct {
		environ    []string
		executable string
		url, ca    string
		proxy      string
	}{
		"nothing":            {nil, "/usr/bin/x", ownURL, "", ""},
		"host":               {[]string{envServerHost + "=lab:8443"}, "/usr/bin/x", "https://lab:8443", "", ""},
		"certificate":        {[]string{envCertPath + "=" + given}, filepath.Join(beside, "x"), ownURL, given, ""},
		"no such file":       {[]string{envCertPath + "=/none"}, filepath.Join(beside, "x"), ownURL, bundled, ""},
		"bundled":            {nil, filepath.Join(beside, "x"), ownURL, bundled, ""},
		"proxy":              {[]string{envProxy + "=http://p:3128"}, "/usr/bin/x", ownURL, "", "http://p:3128"},
		"proxy, no scheme":   {[]string{envProxy + "=p:3128"}, "/usr/bin/x", ownURL, "", "http://p:3128"},
		"configuration wins": {[]string{envServerHost + "=lab", "SUPERVISOR_CONTROL_PLANE_URL=https://own"}, "/usr/bin/x", "https://own", "", ""},
	} {
		t.Run("CL-19 "+name, func(t *testing.T) {
			cfg, _, err := config.Load(config.Sources{Environ: test.environ})
			if err == nil {
				err = setControlPlane(&cfg, test.environ, test.executable)
			}
			plane, proxy := cfg.ControlPlane, ""
			if plane.Proxy != nil {
				proxy = plane.Proxy.String()
			}
			if err != nil || plane.URL != test.url || plane.CAFile != test.ca || plane.HostCAs != (test.ca != "") || proxy != test.proxy {
				t.Errorf("%+v, proxy %q, error %v; want URL %s, CA file %q, proxy %q", plane, proxy, err, test.url, test.ca, test.proxy)
			}
		})
	}
}
