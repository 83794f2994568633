package trust

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pluginsupervisor/internal/trust/trusttest"
)

// newPair returns a certificate, its key, and the certificate in DER.
func newPair(t *testing.T) (cert, key, der []byte) {
	t.Helper()
	cert, key, err := trusttest.NewPair()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(cert)
	return cert, key, block.Bytes
}

// CP-01: the next handshake uses a rotated certificate. While the files hold no pair,
// during a rotation, the old one is used, and the error is reported once.
func TestKeyPair(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func(file string, content []byte) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert1, key1, der1 := newPair(t)
	cert2, key2, der2 := newPair(t)
	cert3, key3, der3 := newPair(t)
	var reports []string
	changed := func(err error) {
		if err == nil {
			reports = append(reports, "")
			return
		}
		reports = append(reports, err.Error())
	}

	if _, err := LoadKeyPair(certFile, keyFile, changed); err == nil || !strings.Contains(err.Error(), "read TLS certificate") {
		t.Errorf("without files: %v", err)
	}
	write(certFile, cert1)
	if _, err := LoadKeyPair(certFile, keyFile, changed); err == nil || !strings.Contains(err.Error(), "read TLS key") {
		t.Errorf("without a key: %v", err)
	}
	write(keyFile, key2)
	if _, err := LoadKeyPair(certFile, keyFile, changed); err == nil || !strings.Contains(err.Error(), "does not match") {
		t.Errorf("with the key of another certificate: %v", err)
	}
	write(keyFile, key1)
	pair, err := LoadKeyPair(certFile, keyFile, changed)
	if err != nil || len(reports) != 0 {
		t.Fatalf("%v, reported %q", err, reports)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: pair.Certificate})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).Handshake()
			_ = c.Close()
		}
	}()

	for _, step := range []struct {
		name    string
		change  func()
		shown   []byte // the certificate
		reports string // the beginning of the one that is new; "-" for none, "" for all is well
	}{
		{"as loaded", func() {}, der1, "-"},
		{"the certificate is new, the key not yet", func() { write(certFile, cert2) }, der1, "use TLS certificate"},
		{"still so", func() {}, der1, "-"},
		{"both are new", func() { write(keyFile, key2) }, der2, ""},
		{"the key is gone", func() { _ = os.Remove(keyFile) }, der2, "read TLS key"},
		{"it is back", func() { write(keyFile, key2) }, der2, ""},
		{"half of a certificate", func() { write(certFile, cert3[:len(cert3)/2]) }, der2, "use TLS certificate"},
		{"another pair", func() { write(certFile, cert3); write(keyFile, key3) }, der3, ""},
	} {
		reports = nil
		step.change()
		conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if !bytes.Equal(conn.ConnectionState().PeerCertificates[0].Raw, step.shown) {
			t.Errorf("%s: another certificate", step.name)
		}
		_ = conn.Close()
		switch {
		case step.reports == "-" && len(reports) == 0:
		case len(reports) != 1 || step.reports == "-" || (step.reports == "") != (reports[0] == "") || !strings.HasPrefix(reports[0], step.reports):
			t.Errorf("%s: reported %q", step.name, reports)
		}
	}
}
