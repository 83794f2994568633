package controlplane

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"pluginsupervisor/internal/control"
)

// parseNetworks parses CIDRs.
func parseNetworks(t testing.TB, cidrs ...string) []net.IPNet {
	t.Helper()
	var all []net.IPNet
	for _, cidr := range cidrs {
		_, n, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, *n)
	}
	return all
}

// forwardedBy sets the headers that a proxy sets, pairs of name and value.
func forwardedBy(pairs ...string) func(*http.Request) {
	return func(r *http.Request) {
		for i := 0; i < len(pairs); i += 2 {
			r.Header.Add("X-Forwarded-"+pairs[i], pairs[i+1])
		}
	}
}

func TestClientAddress(t *testing.T) {
	links := Links{Proxies: parseNetworks(t, "10.0.0.0/8", "fd00::/8", "127.0.0.1/32")}
	for name, tc := range map[string]struct {
		peer    string
		for_    []string // X-Forwarded-For, one a line
		want    string
		proxies int
	}{
		"no proxy":                       {"203.0.113.7:4711", nil, "203.0.113.7", 0},
		"a stranger who pretends":        {"203.0.113.7:4711", []string{"198.51.100.1"}, "203.0.113.7", 0},
		"a proxy":                        {"10.0.0.1:80", []string{"203.0.113.7"}, "203.0.113.7", 1},
		"a proxy over IPv4 in IPv6":      {"[::ffff:10.0.0.1]:80", []string{"::ffff:203.0.113.7"}, "203.0.113.7", 1},
		"a proxy over IPv6":              {"[fd00::1]:80", []string{"2001:db8::7"}, "2001:db8::7", 1},
		"a proxy on a link":              {"[fd00::1%eth0]:80", []string{"2001:db8::7"}, "2001:db8::7", 1},
		"two proxies":                    {"10.0.0.1:80", []string{"203.0.113.7, 10.0.0.2"}, "203.0.113.7", 2},
		"two proxies, a line each":       {"10.0.0.1:80", []string{"203.0.113.7", "10.0.0.2"}, "203.0.113.7", 2},
		"a host that pretends":           {"10.0.0.1:80", []string{"198.51.100.1, 203.0.113.7"}, "203.0.113.7", 1},
		"a host that pretends a proxy":   {"10.0.0.1:80", []string{"10.9.9.9, 203.0.113.7, 10.0.0.2"}, "203.0.113.7", 2},
		"a host among the proxies":       {"10.0.0.1:80", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3", 3},
		"with ports":                     {"10.0.0.1:80", []string{"203.0.113.7:4711, [fd00::2]:80"}, "203.0.113.7", 2},
		"in brackets":                    {"10.0.0.1:80", []string{"[2001:db8::7]"}, "2001:db8::7", 1},
		"no address":                     {"10.0.0.1:80", []string{"203.0.113.7, unknown"}, "10.0.0.1", 1},
		"nothing":                        {"10.0.0.1:80", nil, "10.0.0.1", 1},
		"empty elements":                 {"10.0.0.1:80", []string{"", " , 203.0.113.7 ,"}, "203.0.113.7", 1},
		"a peer that is no address":      {"@", []string{"203.0.113.7"}, "@", 0},
		"this machine, another loopback": {"127.0.0.2:80", []string{"203.0.113.7"}, "127.0.0.2", 0},
	} {
		t.Run("CP-01 "+name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.RemoteAddr = tc.peer
			for _, line := range tc.for_ {
				r.Header.Add("X-Forwarded-For", line)
			}
			if got, proxies := links.clientAddress(r); got != tc.want || proxies != tc.proxies {
				t.Errorf("client %s after %d proxies, want %s after %d", got, proxies, tc.want, tc.proxies)
			}
		})
	}
}

func TestBaseURL(t *testing.T) {
	public, err := url.Parse("https://packages.example/cp/")
	if err != nil {
		t.Fatal(err)
	}
	proxy := parseNetworks(t, "127.0.0.1/32", "10.0.0.0/8")
	for name, tc := range map[string]struct {
		links  Links
		adjust func(*http.Request)
		want   string // "": the server's address
	}{
		"the request's host":         {Links{}, setHost("localhost:1234"), "http://localhost:1234"},
		"forwarded, not trusted":     {Links{}, forwardedBy("Proto", "https", "Host", "cp.example"), ""},
		"forwarded by another":       {Links{Proxies: parseNetworks(t, "10.0.0.0/8")}, forwardedBy("Proto", "https", "Host", "cp.example"), ""},
		"forwarded":                  {Links{Proxies: proxy}, forwardedBy("Proto", "https", "Host", "cp.example"), "https://cp.example"},
		"forwarded, the name kept":   {Links{Proxies: proxy}, func(r *http.Request) { forwardedBy("Proto", "HTTPS")(r); r.Host = "cp.example" }, "https://cp.example"},
		"forwarded twice":            {Links{Proxies: proxy}, forwardedBy("For", "203.0.113.7, 10.0.0.2", "Proto", "https, http", "Host", "cp.example:8443, inner"), "https://cp.example:8443"},
		"forwarded twice, one value": {Links{Proxies: proxy}, forwardedBy("For", "203.0.113.7, 10.0.0.2", "Proto", "https", "Host", "cp.example"), "https://cp.example"},
		"a host that pretends":       {Links{Proxies: proxy}, forwardedBy("For", "198.51.100.1, 203.0.113.7", "Proto", "http, https", "Host", "evil.example, cp.example"), "https://cp.example"},
		"forwarded to IPv6":          {Links{Proxies: proxy}, forwardedBy("Proto", "http", "Host", "[2001:db8::1]:80"), "http://[2001:db8::1]:80"},
		"forwarded nonsense":         {Links{Proxies: proxy}, forwardedBy("Proto", "javascript", "Host", "a/b?c"), ""},
		"forwarded with a user":      {Links{Proxies: proxy}, forwardedBy("Proto", "http", "Host", "user@cp.example"), ""},
		"a public URL":               {Links{Public: public}, nil, "https://packages.example/cp"},
		"a public URL, forwarded":    {Links{Public: public, Proxies: proxy}, forwardedBy("Proto", "http", "Host", "cp.example"), "https://packages.example/cp"},
	} {
		t.Run("CP-01 CP-06 "+name, func(t *testing.T) {
			f := newFleetWith(t, func(s *Server) { s.links = tc.links })
			p := f.addPackage("package", string(packPlugin(t, "log", "1+b", "", "", "")))
			_, text := sendRequest(t, http.MethodPost, f.url+control.PathList, `{}`, tc.adjust)
			want := tc.want
			if want == "" {
				want = f.url
			}
			if want += "/packages/log/1+b/" + p.SHA256 + ".zip"; !strings.Contains(text, `"url":"`+want+`"`) {
				t.Errorf("list %s lacks %s", text, want)
			}
		})
	}
}

func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"203.0.113.7", "10.0.0.2, 203.0.113.7:1", ", ,", "[fd00::1]", "fd00::1%eth0", "\xff", "]:[", "[]"} {
		f.Add(seed)
	}
	links := Links{Proxies: parseNetworks(f, "10.0.0.0/8", "fd00::/8")}
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.RemoteAddr = "10.0.0.1:80"
		for _, header := range []string{"For", "Host", "Proto"} {
			r.Header.Set("X-Forwarded-"+header, value)
		}
		if address, proxies := links.clientAddress(r); proxies < 1 || net.ParseIP(strings.Split(address, "%")[0]) == nil {
			t.Errorf("client %q after %d proxies", address, proxies)
		}
		if u := links.baseURL(r); u.Scheme != "http" && u.Scheme != "https" || !isPlainHost(u.Host) {
			t.Errorf("base %v", &u)
		}
	})
}
