package control

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"pluginsupervisor/internal/trust"
)

// DefaultTimeout is the timeout of one request when Config sets none.
const DefaultTimeout = 5 * time.Second

// Config holds the address of the control plane and the identity of the client.
type Config struct {
	URL        string        // base URL, http or https; its path is put before the fixed paths
	InstanceID string        // identity of this host; "": the server uses the peer address
	Version    string        // of this program, for the User-Agent
	Timeout    time.Duration // of one whole request; 0: DefaultTimeout

	TokenFile string            // holds a bearer token, read for each request; "": none
	CA        trust.Authorities // authorities that verify the server
	CertFile  string            // PEM client certificate, read for each connection; "": none
	KeyFile   string            // PEM key of CertFile
	Proxy     *url.URL          // proxy to use; nil: that of the environment

	// Transport replaces the network in tests; CA, CertFile, KeyFile and Proxy
	// have no effect then. nil otherwise.
	Transport http.RoundTripper
}

// baseURL checks the URL and returns it parsed.
func (c Config) baseURL() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("control plane URL: %w", stripURL(err))
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		err = errors.New("must begin with http:// or https://")
	case u.Hostname() == "":
		err = errors.New("host is missing")
	case u.User != nil:
		err = errors.New("must not contain a user or password; put a token into a file instead")
	case u.RawQuery != "" || u.Fragment != "":
		err = errors.New("must not contain a query or fragment")
	}
	if err != nil {
		return nil, fmt.Errorf("control plane URL %q: %w", u.Redacted(), err)
	}
	return u, nil
}

// stripURL returns the error without the URL that net/http and net/url put before
// it: the URL may contain a password.
func stripURL(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		return outer.Err
	}
	return err
}

// checkHeader returns an error when a value cannot be sent in a header.
func checkHeader(what, value string) error {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return fmt.Errorf("%s contains a character that is not allowed in an HTTP header, at byte %d", what, i+1)
		}
	}
	return nil
}

// isLoopback reports whether host is this machine.
func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
