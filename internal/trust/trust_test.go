package trust

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// F11: the file is read again when it changed; its old content is not trusted any
// more.
func TestTransport(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	keep := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	transport := New(&http.Transport{}, Authorities{File: file})
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	ask := func() error {
		resp, err := client.Get(server.URL)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}
	if err := transport.Check(); err == nil || !strings.Contains(err.Error(), "read CA file") {
		t.Errorf("without a file: %v", err)
	}
	good := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for _, step := range []struct {
		content []byte
		says    string
	}{{good, ""}, {[]byte("no certificate"), "holds no certificate in PEM"}, {good, ""}} {
		keep(step.content)
		if err := ask(); (err == nil) != (step.says == "") || err != nil && !strings.Contains(err.Error(), step.says) {
			t.Errorf("%q: %v", step.content, err)
		}
	}
	if _, err := (&http.Client{Transport: New(&http.Transport{}, Authorities{})}).Get(server.URL); err == nil {
		t.Error("the test certificate is accepted without its authority")
	}
}

// CL-19: a given proxy is used for all servers but those on this machine.
func TestProxy(t *testing.T) {
	given, err := url.Parse("http://proxy:3128")
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]*url.URL{"https://far/x": given, "http://far": given, "http://127.0.0.1:8700": nil, "https://localhost": nil} {
		r, err := http.NewRequest(http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Proxy(given)(r); got != want || err != nil {
			t.Errorf("%s: %v, %v", target, got, err)
		}
	}
}

// CL-19: the host's own authorities are trusted as well as those of the file.
func TestHostAuthorities(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	host, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	host.AddCert(server.Certificate())
	transport, err := New(&http.Transport{}, Authorities{File: file, Host: true}).currentTransport()
	if err != nil {
		t.Fatal(err)
	}
	if !transport.TLSClientConfig.RootCAs.Equal(host) {
		t.Error("want the authorities of the host and of the file")
	}
}
