package controlplane

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Links say how hosts reach the server: they decide the address that a request
// counts as coming from, and the URLs of packages.
type Links struct {
	// Public is the base of all URLs. When it is nil, they begin with the name
	// that the host itself asked.
	Public *url.URL
	// Proxies are the networks of the proxies whose X-Forwarded-For, -Proto and
	// -Host are believed. From any other sender they could say anything.
	Proxies []net.IPNet
}

// client returns the address that the request comes from, and how many trusted
// proxies it passed. X-Forwarded-For is read from its end, where the nearest
// proxy wrote, up to the first address that is not a trusted proxy: what stands
// before that was written by a stranger.
func (l Links) client(r *http.Request) (address string, proxies int) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr, 0
	}
	at := peer.Addr().Unmap()
	forwarded := headerList(r, "X-Forwarded-For")
	for l.trusts(at) {
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

func (l Links) trusts(a netip.Addr) bool {
	for _, n := range l.Proxies {
		if n.Contains(a.AsSlice()) {
			return true
		}
	}
	return false
}

// base returns the URL that the request's sender reaches the server by.
func (l Links) base(r *http.Request) url.URL {
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
	_, proxies := l.client(r)
	if proto := strings.ToLower(forwarded(r, "X-Forwarded-Proto", proxies)); proto == "http" || proto == "https" {
		base.Scheme = proto
	}
	if host := forwarded(r, "X-Forwarded-Host", proxies); plainHost(host) {
		base.Host = host
	}
	return base
}

// isPublic reports whether a request's Host is the name in the public URL.
func (l Links) isPublic(host string) bool {
	return l.Public != nil && strings.EqualFold(hostname(host), l.Public.Hostname())
}

// forwarded returns what the outermost of the trusted proxies wrote into the
// header, or "" when there is none. Each proxy may have added to the list or
// left it as it is.
func forwarded(r *http.Request, header string, proxies int) string {
	values := headerList(r, header)
	if proxies == 0 || len(values) == 0 {
		return ""
	}
	return values[max(0, len(values)-proxies)]
}

// headerList returns the elements of a header that is a list, over all its lines.
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

// parseAddress reads an address as proxies write it: some add the port.
func parseAddress(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(hostname(text))
	return a.Unmap(), err == nil
}

// hostname returns a host without its port and brackets.
func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	if len(hostport) > 1 && hostport[0] == '[' && hostport[len(hostport)-1] == ']' {
		return hostport[1 : len(hostport)-1]
	}
	return hostport
}

// isLoopback reports whether only this machine reaches the listener.
func isLoopback(addr net.Addr) bool {
	a, err := netip.ParseAddrPort(addr.String())
	return err == nil && a.Addr().Unmap().IsLoopback()
}

// localName reports whether a request's Host is a name of this machine alone.
func localName(host string) bool {
	name := hostname(host)
	if name == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.Unmap().IsLoopback()
}

// plainHost reports whether the text is a host, perhaps with a port, and nothing else.
func plainHost(text string) bool {
	u, err := url.Parse("//" + text)
	return err == nil && text != "" && u.Host == text && u.Hostname() != ""
}
