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

// DefaultTimeout bounds one request where Config names no time.
const DefaultTimeout = 5 * time.Second

// Config tells where the control plane is and who speaks to it.
type Config struct {
	URL        string        // base URL, http or https; a path in it goes before the fixed ones
	InstanceID string        // who we are; "" leaves it to the peer address
	Version    string        // ours, for the User-Agent
	Timeout    time.Duration // of one request, all of it; 0: DefaultTimeout

	TokenFile string            // holds a bearer token, read anew for each request; "": none
	CA        trust.Authorities // what a server is verified by
	CertFile  string            // PEM: who we are over TLS, read anew for each connection; "": nobody
	KeyFile   string            // PEM: the key of CertFile
	Proxy     *url.URL          // the proxy to go through; nil: that of the environment

	// Transport carries the requests instead of the network, with CA, CertFile,
	// KeyFile and Proxy of no effect. For tests; nil otherwise.
	Transport http.RoundTripper
}

// baseURL checks the URL and returns it parsed.
func (c Config) baseURL() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("control plane URL: %w", bare(err))
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		err = errors.New("must begin with http:// or https://")
	case u.Hostname() == "":
		err = errors.New("names no host")
	case u.User != nil:
		err = errors.New("must not hold a user or password; put a token into a file")
	case u.RawQuery != "" || u.Fragment != "":
		err = errors.New("must end with its path: no query, no fragment")
	}
	if err != nil {
		return nil, fmt.Errorf("control plane URL %q: %w", u.Redacted(), err)
	}
	return u, nil
}

// bare is the error without the URL net/http and net/url put before it: it is
// the same each time, and may hold a password.
func bare(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		return outer.Err
	}
	return err
}

// checkHeader tells why a value cannot be sent in a header, or nil.
func checkHeader(what, value string) error {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return fmt.Errorf("%s holds a character that no header can carry, at byte %d", what, i+1)
		}
	}
	return nil
}

// loopback tells whether what is sent to host stays on this machine.
func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
