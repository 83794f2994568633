// Package trust reads TLS files, and reads them again when they have changed: the
// authorities that a client trusts, and a server's certificate.
package trust

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
)

// Transport sends requests as its base does, to servers whose certificate is signed by
// an authority in a file. The file is read for each request, which is simpler than
// watching it: a rotation needs no restart. A connection that was made with other
// authorities is not used again.
type Transport struct {
	base *http.Transport
	from Authorities

	mu      sync.Mutex
	content []byte
	current *http.Transport // base with the authorities in content; nil at first
}

// Authorities are the CA certificates that verify servers.
type Authorities struct {
	File string // in PEM; "" leaves the authorities to the base of the transport
	Host bool   // the host's own as well as those in the file
}

// New returns a transport over base, which must not be used elsewhere.
func New(base *http.Transport, from Authorities) *Transport {
	return &Transport{base: base, from: from}
}

// Proxy returns the Proxy function of an http.Transport: the given proxy for all
// servers but those on this machine, or without one the proxy of the environment.
func Proxy(by *url.URL) func(*http.Request) (*url.URL, error) {
	if by == nil {
		return http.ProxyFromEnvironment
	}
	return func(r *http.Request) (*url.URL, error) {
		if host := r.URL.Hostname(); host == "localhost" || net.ParseIP(host).IsLoopback() {
			return nil, nil
		}
		return by, nil
	}
}

// Check reads the file and returns an error if it cannot be used.
func (t *Transport) Check() error {
	_, err := t.currentTransport()
	return err
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	transport, err := t.currentTransport()
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // as a RoundTripper has to
		}
		return nil, err
	}
	return transport.RoundTrip(r)
}

// CloseIdleConnections closes the connections that no request uses.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.base.CloseIdleConnections()
	if t.current != nil {
		t.current.CloseIdleConnections()
	}
}

// currentTransport returns the transport for the current content of the file.
func (t *Transport) currentTransport() (*http.Transport, error) {
	if t.from.File == "" {
		return t.base, nil
	}
	content, err := os.ReadFile(t.from.File)
	if err != nil {
		return nil, fmt.Errorf("read CA file: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current != nil && bytes.Equal(content, t.content) {
		return t.current, nil
	}
	pool := x509.NewCertPool()
	if t.from.Host {
		if host, err := x509.SystemCertPool(); err == nil {
			pool = host
		}
	}
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("CA file %s holds no certificate in PEM", t.from.File)
	}
	if t.current != nil {
		t.current.CloseIdleConnections()
	}
	t.current, t.content = t.base.Clone(), content
	if t.current.TLSClientConfig == nil {
		t.current.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t.current.TLSClientConfig.RootCAs = pool
	return t.current, nil
}
