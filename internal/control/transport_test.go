package control

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/internal/trust"
)

// authority signs certificates for one test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	a.cert, a.key = a.signCertificate("authority")
	return a
}

// signCertificate returns a certificate for name; the first one is self-signed.
func (a *authority) signCertificate(name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true,
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func certPEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

func keyPEM(t *testing.T, key *ecdsa.PrivateKey) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func writeFile(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serveTLS starts a server that accepts client certificates of a. The channel
// receives the name in each client's certificate.
func serveTLS(t *testing.T, a *authority, most uint16) (url string, names <-chan string) {
	cert, key := a.signCertificate("server")
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	clientNames := make(chan string, 10)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := ""
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		clientNames <- name
		answerWith(200, "{}")(w, r)
	}))
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}},
		ClientCAs:    pool, ClientAuth: tls.VerifyClientCertIfGiven,
		MinVersion: tls.VersionTLS10, MaxVersion: most,
	}
	s.Config.ErrorLog = discardLog()
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, clientNames
}

func TestTLS(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	cert, key := a.signCertificate("host-1")
	ca := writeFile(t, filepath.Join(dir, "ca.pem"), certPEM(a.cert))
	certFile := writeFile(t, filepath.Join(dir, "cert.pem"), certPEM(cert))
	keyFile := writeFile(t, filepath.Join(dir, "key.pem"), keyPEM(t, key))
	otherCA := writeFile(t, filepath.Join(dir, "other.pem"), certPEM(newAuthority(t).cert))

	for name, test := range map[string]struct {
		cfg       Config
		most      uint16
		seen, err string
	}{
		"authority and certificate": {Config{CA: trust.Authorities{File: ca}, CertFile: certFile, KeyFile: keyFile}, tls.VersionTLS13, "host-1", ""},
		"authority alone":           {Config{CA: trust.Authorities{File: ca}}, tls.VersionTLS13, "", ""},
		"TLS 1.2":                   {Config{CA: trust.Authorities{File: ca}, CertFile: certFile, KeyFile: keyFile}, tls.VersionTLS12, "host-1", ""},
		"TLS 1.1 is refused":        {Config{CA: trust.Authorities{File: ca}}, tls.VersionTLS11, "", "protocol version"},
		"another authority":         {Config{CA: trust.Authorities{File: otherCA}}, tls.VersionTLS13, "", "unknown authority"},
		"the host's authorities":    {Config{}, tls.VersionTLS13, "", "unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			url, names := serveTLS(t, a, test.most)
			test.cfg.URL = url
			_, err := newClient(t, test.cfg).Report(t.Context(), oneReport())
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if seen := <-names; seen != test.seen {
				t.Errorf("the server saw %q, want %q", seen, test.seen)
			}
		})
	}
}

// A renewed certificate is used by the next connection. A damaged one is an error
// that names the file.
func TestClientCertificateIsRenewed(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	renew := func(name string) {
		cert, key := a.signCertificate(name)
		writeFile(t, certFile, certPEM(cert))
		writeFile(t, keyFile, keyPEM(t, key))
	}
	renew("before")
	url, names := serveTLS(t, a, tls.VersionTLS13)
	c := newClient(t, Config{
		URL: url, CA: trust.Authorities{File: writeFile(t, filepath.Join(dir, "ca.pem"), certPEM(a.cert))}, CertFile: certFile, KeyFile: keyFile,
	})
	for _, want := range []string{"before", "after"} {
		renew(want)
		c.Close() // no idle connection: the next request makes its own
		if _, err := c.Report(t.Context(), oneReport()); err != nil {
			t.Fatal(err)
		}
		if seen := <-names; seen != want {
			t.Errorf("the server saw %q, want %q", seen, want)
		}
	}
	writeFile(t, keyFile, nil)
	c.Close()
	if _, err := c.Report(t.Context(), oneReport()); err == nil || !strings.Contains(err.Error(), keyFile) {
		t.Errorf("error %v does not name the file", err)
	}
}

// F11: the next request uses rotated authorities and no longer trusts the old ones.
func TestAuthoritiesAreRenewed(t *testing.T) {
	first, second, ca := newAuthority(t), newAuthority(t), filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, ca, certPEM(first.cert))
	firstURL, _ := serveTLS(t, first, tls.VersionTLS13)
	secondURL, _ := serveTLS(t, second, tls.VersionTLS13)
	toFirst, toSecond := newClient(t, Config{URL: firstURL, CA: trust.Authorities{File: ca}}), newClient(t, Config{URL: secondURL, CA: trust.Authorities{File: ca}})
	trusted := func(c *Client, want bool) {
		t.Helper()
		_, err := c.Report(t.Context(), oneReport())
		if want && err != nil || !want && (err == nil || !strings.Contains(err.Error(), "unknown authority")) {
			t.Errorf("error %v, want trusted: %v", err, want)
		}
	}
	trusted(toFirst, true)
	trusted(toSecond, false)
	writeFile(t, ca, certPEM(second.cert))
	trusted(toFirst, false) // although it has an open connection
	trusted(toSecond, true)
	writeFile(t, ca, nil)
	if _, err := toSecond.Report(t.Context(), oneReport()); err == nil || !strings.Contains(err.Error(), ca+" holds no certificate") {
		t.Errorf("empty CA file: error %v", err)
	}
	writeFile(t, ca, certPEM(second.cert))
	trusted(toSecond, true)
}
