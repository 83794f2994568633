package fetch

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"

	"pluginsupervisor/internal/trust"
)

// newTransport returns the transport for a Config.
func newTransport(cfg Config) http.RoundTripper {
	transport := func(secure *tls.Config) *trust.Transport {
		return trust.New(&http.Transport{
			Proxy:                  trust.Proxy(cfg.Proxy),
			DialContext:            (&net.Dialer{Timeout: cfg.Connect}).DialContext,
			TLSHandshakeTimeout:    cfg.Connect,
			ResponseHeaderTimeout:  cfg.Connect,
			TLSClientConfig:        secure,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // length and range count bytes of the file itself
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConns:           1,
			IdleConnTimeout:        cfg.Connect,
		}, cfg.CA)
	}
	origin, err := url.Parse(cfg.Origin)
	if err != nil || !isWeb(origin) || cfg.OriginTLS == nil {
		return transport(cfg.TLS)
	}
	return byOrigin{origin: serverAddress(origin), own: transport(cfg.OriginTLS), others: transport(cfg.TLS)}
}

// byOrigin sends the client certificate to its own server only.
type byOrigin struct {
	origin      string
	own, others *trust.Transport
}

// RoundTrip implements http.RoundTripper. After redirects the certificate is used
// only if all of them came from the origin.
func (b byOrigin) RoundTrip(r *http.Request) (*http.Response, error) {
	for before := r; ; before = before.Response.Request {
		if serverAddress(before.URL) != b.origin {
			return b.others.RoundTrip(r)
		}
		if before.Response == nil {
			return b.own.RoundTrip(r)
		}
	}
}

// CloseIdleConnections closes idle connections. http.Client calls it.
func (b byOrigin) CloseIdleConnections() {
	b.own.CloseIdleConnections()
	b.others.CloseIdleConnections()
}

// serverAddress returns the scheme, host and port of a URL.
func serverAddress(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
