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
	maxHeader   = 64 << 10 // of an answer, in bytes
	maxToken    = 16 << 10 // in bytes: what any server takes in a header
)

// newTransport is the network as Config wants it.
func newTransport(cfg Config, timeout time.Duration) (*trust.Transport, error) {
	secure, err := cfg.TLS()
	if err != nil {
		return nil, err
	}
	t := trust.New(&http.Transport{
		Proxy: trust.Proxy(cfg.Proxy),
		// A dial goes on after the request that wanted it has given up, for the
		// next one to use: it needs its own end.
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

// TLS is how our certificate is shown; the server's is checked by CA, see
// internal/trust.
func (cfg Config) TLS() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case cfg.CertFile == "" && cfg.KeyFile == "":
		return c, nil
	case cfg.CertFile == "":
		return nil, fmt.Errorf("key file %s is of no use without a certificate file", cfg.KeyFile)
	case cfg.KeyFile == "":
		return nil, fmt.Errorf("certificate file %s is of no use without a key file", cfg.CertFile)
	}
	if _, err := loadCertificate(cfg); err != nil {
		return nil, err
	}
	// Handshakes are rare: reading the files at each of them is simpler than
	// watching them, and a renewed certificate is in use with the next.
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

// readToken reads the file anew, so that a rotated token is in use at once. No
// error repeats what the file holds.
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
		err = errors.New("too large for a token")
	case token == "":
		err = errors.New("empty")
	default:
		err = checkHeader("token", token)
	}
	if err != nil {
		return "", fmt.Errorf("read token file %s: %w", path, err)
	}
	return token, nil
}
