package control

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"pluginsupervisor/internal/trust"
)

const (
	idleTimeout = 90 * time.Second
	maxIdle     = 4        // a report, an update check and an event, and one to spare
	maxHeader   = 64 << 10 // headers of an answer, in bytes
	maxToken    = 16 << 10 // in bytes: what any server accepts in a header
)

// newTransport returns the HTTP transport that cfg describes.
func newTransport(cfg Config, timeout time.Duration) (*trust.Transport, error) {
	secure, err := cfg.TLSConfig()
	if err != nil {
		return nil, err
	}
	t := trust.New(&http.Transport{
		Proxy: trust.Proxy(cfg.Proxy),
		// A dial continues after its request was canceled, because the next request
		// can use the connection: it needs its own timeout.
		DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
		TLSHandshakeTimeout:    timeout,
		TLSClientConfig:        secure,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
	}, cfg.CA)
	return t, t.Check()
}

// TLSConfig returns the TLS settings with the client certificate. The server's
// certificate is verified by CA, see internal/trust.
func (cfg Config) TLSConfig() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case cfg.CertFile == "" && cfg.KeyFile == "":
		return c, nil
	case cfg.CertFile == "":
		return nil, fmt.Errorf("key file %s is set without a certificate file; set control_plane.cert_file as well", cfg.KeyFile)
	case cfg.KeyFile == "":
		return nil, fmt.Errorf("certificate file %s is set without a key file; set control_plane.key_file as well", cfg.CertFile)
	}
	if _, err := loadCertificate(cfg); err != nil {
		return nil, err
	}
	// Handshakes are rare: reading the files for each one is simpler than
	// watching them, and a renewed certificate is used by the next handshake.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return loadCertificate(cfg)
	}
	return c, nil
}

func loadCertificate(cfg Config) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("load client certificate %s with key %s: %w", cfg.CertFile, cfg.KeyFile, err)
	}
	return &cert, nil
}

// readToken returns the token in a file. It is called for each request, so that
// a rotated token is used at once. No error contains the token.
func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read token file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	token := strings.TrimSpace(string(b))
	switch {
	case err != nil:
	case len(b) > maxToken:
		err = fmt.Errorf("longer than %d bytes: too large for a token", maxToken)
	case token == "":
		err = errors.New("file is empty")
	default:
		err = checkHeader("token", token)
	}
	if err != nil {
		return "", fmt.Errorf("read token file %s: %w", path, err)
	}
	return token, nil
}
