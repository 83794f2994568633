package fetch

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"
)

// SECURITY: the client certificate is sent to the control plane only, never to
// another package server, nor after a redirect from one.
func TestClientCertificateStaysWithItsOrigin(t *testing.T) {
	var shown []string // to whom
	server := func(name string, answer http.HandlerFunc) *httptest.Server {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if len(r.TLS.PeerCertificates) > 0 {
				shown = append(shown, name+r.URL.Path)
			}
			answer(w, r)
		}))
		s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	var plane, other *httptest.Server
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, other.URL+"/file", http.StatusFound)
		case "/back":
			http.Redirect(w, r, plane.URL+"/file", http.StatusFound)
		case "/round":
			http.Redirect(w, r, other.URL+"/back", http.StatusFound)
		case "/within":
			http.Redirect(w, r, plane.URL+"/file", http.StatusFound)
		}
	}
	plane, other = server("plane", handler), server("other", handler)
	anonymous := &tls.Config{InsecureSkipVerify: true}
	own := anonymous.Clone()
	own.Certificates = plane.TLS.Certificates
	f := New(Config{TLS: anonymous, Origin: plane.URL, OriginTLS: own})
	defer f.Close()
	for source, want := range map[string][]string{
		plane.URL + "/file":   {"plane/file"},
		plane.URL + "/within": {"plane/within", "plane/file"},
		plane.URL + "/away":   {"plane/away"},
		plane.URL + "/round":  {"plane/round"},
		other.URL + "/file":   nil,
		other.URL + "/back":   nil,
	} {
		shown = nil
		if _, err := f.Fetch(t.Context(), source, filepath.Join(t.TempDir(), "file"), nil); err != nil {
			t.Errorf("%s: %v", source, err)
		}
		if len(shown) != len(want) || len(want) > 0 && (shown[0] != want[0] || shown[len(want)-1] != want[len(want)-1]) {
			t.Errorf("%s: shown to %q, want %q", source, shown, want)
		}
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"https://CP.example": "https://cp.example:443", "https://cp.example:443/x": "https://cp.example:443",
		"http://[::1]": "http://[::1]:80", "https://cp.example:8443": "https://cp.example:8443",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := serverAddress(u); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}
