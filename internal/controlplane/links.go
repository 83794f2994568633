package controlplane

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Links holds how hosts reach the server: it determines the client address of a
// request and the URLs of packages.
type Links struct {
	// Public is the base of all URLs; when nil, the name in the host's request is.
	Public *url.URL
	// Proxies holds the networks of the proxies whose X-Forwarded-For, -Proto and
	// -Host are trusted. Other senders could forge them.
	Proxies []net.IPNet
}

// clientAddress returns the address that the request comes from, and the number
// of trusted proxies it passed. X-Forwarded-For is read from its end, where the
// nearest proxy wrote, up to the first address that is not a trusted proxy: what
// is before that cannot be trusted.
func (l Links) clientAddress(r *http.Request) (address string, proxies int) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr, 0
	}
	at := peer.Addr().Unmap()
	forwarded := headerList(r, "X-Forwarded-For")
	for l.isTrusted(at) {
		proxies++
		if proxies > len(forwarded) {
			break
		}
		next, ok := parseAddress(forwarded[len(forwarded)-proxies])
		if !ok {
			break
		}
		at = next
	}
	return at.String(), proxies
}

func (l Links) isTrusted(a netip.Addr) bool {
	for _, n := range l.Proxies {
		if n.Contains(a.AsSlice()) {
			return true
		}
	}
	return false
}

// baseURL returns the URL by which the sender of the request reaches the server.
func (l Links) baseURL(r *http.Request) url.URL {
	if l.Public != nil {
		return *l.Public
	}
	base := url.URL{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		base.Scheme = "https"
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && base.Host == "" { // HTTP/1.0
		base.Host = local.String()
	}
	_, proxies := l.clientAddress(r)
	if proto := strings.ToLower(forwardedValue(r, "X-Forwarded-Proto", proxies)); proto == "http" || proto == "https" {
		base.Scheme = proto
	}
	if host := forwardedValue(r, "X-Forwarded-Host", proxies); isPlainHost(host) {
		base.Host = host
	}
	return base
}

// isPublic reports whether a request's Host is the name in the public URL.
func (l Links) isPublic(host string) bool {
	return l.Public != nil && strings.EqualFold(stripPort(host), l.Public.Hostname())
}

// forwardedValue returns the value that the outermost trusted proxy wrote into
// the header, or "" without one. Each proxy may have added to the list or not.
func forwardedValue(r *http.Request, header string, proxies int) string {
	values := headerList(r, header)
	if proxies == 0 || len(values) == 0 {
		return ""
	}
	return values[max(0, len(values)-proxies)]
}

// headerList returns the elements of a list header, of all its lines.
func headerList(r *http.Request, header string) []string {
	var list []string
	for _, line := range r.Header.Values(header) {
		for element := range strings.SplitSeq(line, ",") {
			if element = strings.TrimSpace(element); element != "" {
				list = append(list, element)
			}
		}
	}
	return list
}

// parseAddress parses an address as proxies write it: some add the port.
func parseAddress(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(stripPort(text))
	return a.Unmap(), err == nil
}

// stripPort returns a host without its port and brackets.
func stripPort(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	if len(hostport) > 1 && hostport[0] == '[' && hostport[len(hostport)-1] == ']' {
		return hostport[1 : len(hostport)-1]
	}
	return hostport
}

// isLoopback reports whether only this machine can reach the listener.
func isLoopback(addr net.Addr) bool {
	a, err := netip.ParseAddrPort(addr.String())
	return err == nil && a.Addr().Unmap().IsLoopback()
}

// isLocalName reports whether a request's Host is a loopback name.
func isLocalName(host string) bool {
	name := stripPort(host)
	if name == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.Unmap().IsLoopback()
}

// isPlainHost reports whether the text is a host with an optional port only.
func isPlainHost(text string) bool {
	u, err := url.Parse("//" + text)
	return err == nil && text != "" && u.Host == text && u.Hostname() != ""
}
