package control

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	logtest "github.com/sirupsen/logrus/hooks/test"

	"pluginsupervisor/internal/trust"
	"pluginsupervisor/plugin"
)

// Each mistake in the configuration is an error that names the wrong value.
func TestNewReportsBadConfiguration(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	a := newAuthority(t)
	cert, key := a.signCertificate("host")
	_, otherKey := a.signCertificate("other")
	writeFile(t, path("cert"), certPEM(cert))
	writeFile(t, path("key"), keyPEM(t, key))
	writeFile(t, path("other-key"), keyPEM(t, otherKey))
	writeFile(t, path("blank"), []byte(" \n"))
	writeFile(t, path("control"), []byte("to\x00ken"))
	writeFile(t, path("large"), []byte(strings.Repeat("x", maxToken+1)))

	const url = "https://127.0.0.1"
	for name, test := range map[string]struct {
		cfg  Config
		want []string
	}{
		"no URL":                 {Config{}, []string{"control plane URL", "http://"}},
		"a host alone":           {Config{URL: "localhost:8700"}, []string{"localhost:8700", "http://"}},
		"another scheme":         {Config{URL: "ftp://h"}, []string{"ftp://h", "http://"}},
		"no host":                {Config{URL: "http:///path"}, []string{"host is missing"}},
		"a port alone":           {Config{URL: "http://:8700"}, []string{"host is missing"}},
		"not a URL":              {Config{URL: "http://u:secret@h:port"}, []string{"control plane URL", "port"}},
		"a password":             {Config{URL: "http://u:secret@h"}, []string{"password", "u:xxxxx@h"}},
		"a query":                {Config{URL: "http://h/?a=b"}, []string{"query"}},
		"a fragment":             {Config{URL: "http://h/#a"}, []string{"fragment"}},
		"instance id":            {Config{URL: url, InstanceID: "a\nb"}, []string{"instance id"}},
		"version":                {Config{URL: url, Version: "1.0\r"}, []string{"version"}},
		"no token file":          {Config{URL: url, TokenFile: path("none")}, []string{"token file", path("none")}},
		"blank token":            {Config{URL: url, TokenFile: path("blank")}, []string{path("blank"), "empty"}},
		"token with a NUL byte":  {Config{URL: url, TokenFile: path("control")}, []string{path("control"), "byte 3"}},
		"large token":            {Config{URL: url, TokenFile: path("large")}, []string{path("large"), "too large"}},
		"token file is a folder": {Config{URL: url, TokenFile: dir}, []string{dir}},
		"no CA file":             {Config{URL: url, CA: trust.Authorities{File: path("none")}}, []string{"CA file", path("none")}},
		"CA file of nothing":     {Config{URL: url, CA: trust.Authorities{File: path("blank")}}, []string{path("blank"), "no certificate"}},
		"certificate alone":      {Config{URL: url, CertFile: path("cert")}, []string{path("cert"), "key file"}},
		"key alone":              {Config{URL: url, KeyFile: path("key")}, []string{path("key"), "certificate file"}},
		"no certificate file":    {Config{URL: url, CertFile: path("none"), KeyFile: path("key")}, []string{path("none")}},
		"key of another":         {Config{URL: url, CertFile: path("cert"), KeyFile: path("other-key")}, []string{path("cert"), path("other-key")}},
	} {
		t.Run(name, func(t *testing.T) {
			log, _ := logtest.NewNullLogger()
			_, err := New(test.cfg, log)
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not contain %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q contains a secret or a line break", err)
			}
		})
	}
}

// A rotated token is used at once. While the file is missing, no request is sent.
func TestTokenIsRotated(t *testing.T) {
	server, got := startServer(t, answerWith(200, "{}"))
	file := writeFile(t, filepath.Join(t.TempDir(), "token"), []byte("first\n"))
	c := newClient(t, Config{URL: server.URL, TokenFile: file, InstanceID: "host-1"})
	for _, token := range []string{"first", "second"} {
		writeFile(t, file, []byte(token+"\n"))
		if err := c.Send(t.Context(), plugin.Event{ID: "e"}); err != nil {
			t.Fatal(err)
		}
		h := (<-got).Header
		if h.Get("Authorization") != "Bearer "+token || h.Get("X-Client-Instance-ID") != "host-1" {
			t.Errorf("sent headers %v, want token %s", h, token)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(t.Context(), plugin.Event{ID: "e"}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("error %v does not name the file", err)
	}
	expectNoRequest(t, got)
}

// Without a token or an instance id, their headers are left out.
func TestHeadersLeftOut(t *testing.T) {
	server, got := startServer(t, answerWith(200, "{}"))
	if err := newClient(t, Config{URL: server.URL}).Send(t.Context(), plugin.Event{ID: "e"}); err != nil {
		t.Fatal(err)
	}
	h := (<-got).Header
	for _, name := range []string{"Authorization", HeaderInstanceID} {
		if v, ok := h[http.CanonicalHeaderKey(name)]; ok {
			t.Errorf("sent %s: %q", name, v)
		}
	}
}

// A token that leaves the machine without encryption is logged once, at the start.
func TestUnencryptedTokenIsLogged(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "token"), []byte("t"))
	for url, want := range map[string]int{
		"http://192.0.2.1": 1, "https://192.0.2.1": 0, "http://127.0.0.1": 0, "http://[::1]:1": 0, "http://localhost": 0,
	} {
		log, hook := logtest.NewNullLogger()
		if _, err := New(Config{URL: url, TokenFile: file}, log); err != nil {
			t.Fatal(err)
		}
		if n := len(hook.Entries); n != want {
			t.Errorf("%s: %d warnings, want %d", url, n, want)
		}
	}
}
