package trust

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// F11: the file is read again when it changed; what it held before is not
// trusted on.
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
	transport := New(&http.Transport{}, file)
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
	if _, err := (&http.Client{Transport: New(&http.Transport{}, "")}).Get(server.URL); err == nil {
		t.Error("the host's authorities have signed a test's certificate")
	}
}
