package controlplane

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/internal/control"
)

func TestSettingsAPI(t *testing.T) {
	f := newFleet(t)
	current := `{"scanInterval":0,"pullInterval":0,"refreshInterval":0,"updateInterval":0,"lazy":false}`
	for _, step := range []struct {
		name, body string
		code       int
		want       string // the answer, or with another code than 200 a part of the message
	}{
		{"all", `{"scanInterval":30,"pullInterval":40,"refreshInterval":50,"updateInterval":60,"lazy":true}`, 200, `{"scanInterval":30,"pullInterval":40,"refreshInterval":50,"updateInterval":60,"lazy":true}`},
		{"one, the others stay", `{"scanInterval":900}`, 200, `{"scanInterval":900,"pullInterval":40,"refreshInterval":50,"updateInterval":60,"lazy":true}`},
		{"back to not set", `{"scanInterval":0,"lazy":false}`, 200, `{"scanInterval":0,"pullInterval":40,"refreshInterval":50,"updateInterval":60,"lazy":false}`},
		{"TM-04 shorter than hosts follow", `{"pullInterval":9}`, 400, "pull interval of 9s"},
		{"TM-04 longer than hosts follow", `{"updateInterval":604801}`, 400, "update interval"},
		{"TM-04 negative", `{"refreshInterval":-1}`, 400, "refresh interval"},
		{"a typing error", `{"scanIntervall":30}`, 400, `unknown field`},
		{"a fraction", `{"scanInterval":30.5}`, 400, "scanInterval is a number 30.5, want a whole number"},
		{"a word", `{"lazy":"yes"}`, 400, "lazy is a string, want true or false"},
		{"not JSON", `lazy`, 400, "not JSON"},
	} {
		t.Run("CP-08 "+step.name, func(t *testing.T) {
			code, text := f.sendRequest(http.MethodPut, "/api/settings", "", step.body)
			if code != step.code {
				t.Fatalf("answered %d %s", code, text)
			}
			if code == 200 {
				current = step.want
				sameJSON(t, text, current)
			} else if !strings.Contains(text, step.want) {
				t.Errorf("message %s, want %q", text, step.want)
			}
			_, text = f.sendRequest(http.MethodGet, "/api/settings", "", "")
			sameJSON(t, text, current)
		})
	}
}

func TestOffersAPI(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := newFleetAt(t, func() time.Time { return now })
	post := func(body string) (int, string) { return f.sendRequest(http.MethodPost, "/api/offers", "", body) }
	withdraw := func(query string) (int, string) {
		return f.sendRequest(http.MethodDelete, "/api/offers?"+query, "", "")
	}
	const made = `"made":"2026-03-01T12:00:00Z"`

	code, text := post(`{"name":"log","version":"2.0","timeout":90}`)
	if code != http.StatusCreated {
		t.Fatalf("answered %d %s, want 201", code, text)
	}
	sameJSON(t, text, `{"name":"log","version":"2.0","timeout":90,`+made+`}`)
	for _, body := range []string{`{"name":"log","version":"2.1"}`, `{"name":"log","version":"1.0","host":"h"}`} {
		if code, text := post(body); code != http.StatusCreated {
			t.Fatalf("answered %d %s, want 201", code, text)
		}
	}
	_, text = f.sendRequest(http.MethodGet, "/api/offers", "", "")
	sameJSON(t, text, `{"offers":[{"name":"log","version":"2.1","timeout":0,`+made+`},{"name":"log","version":"1.0","timeout":0,"host":"h",`+made+`}]}`)

	for name, tc := range map[string]struct {
		code int
		text string
		do   func() (int, string)
	}{
		"bad name":    {400, "plugin name", func() (int, string) { return post(`{"name":"../log","version":"1"}`) }},
		"bad version": {400, "plugin version", func() (int, string) { return post(`{"name":"log","version":""}`) }},
		"bad timeout": {400, "timeout of 3601s", func() (int, string) { return post(`{"name":"log","version":"1","timeout":3601}`) }},
		"long host": {400, "host id", func() (int, string) {
			return post(`{"name":"log","version":"1","host":"` + strings.Repeat("h", 256) + `"}`)
		}},
		"typing error":    {400, "unknown field", func() (int, string) { return post(`{"nmae":"log"}`) }},
		"nameless":        {400, "name is missing", func() (int, string) { return withdraw("version=1") }},
		"another version": {404, "offer not found: log 2.0", func() (int, string) { return withdraw("name=log&version=2.0") }},
		"another host":    {404, "offer not found", func() (int, string) { return withdraw("name=log&host=other") }},
	} {
		t.Run(name, func(t *testing.T) {
			if code, text := tc.do(); code != tc.code || !strings.Contains(text, tc.text) {
				t.Errorf("answered %d %s, want %d and %q", code, text, tc.code, tc.text)
			}
		})
	}
	for _, query := range []string{"name=log&version=2.1", "name=log&host=h"} {
		if code, text := withdraw(query); code != http.StatusNoContent {
			t.Errorf("withdrawing %s answered %d %s, want 204", query, code, text)
		}
	}
	_, text = f.sendRequest(http.MethodGet, "/api/offers", "", "")
	sameJSON(t, text, `{"offers":[]}`)
}

func TestHostsAPI(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := newFleetAt(t, func() time.Time { return now })
	_, text := f.sendRequest(http.MethodGet, "/api/hosts", "", "")
	sameJSON(t, text, `{"hosts":[]}`)
	f.sendReport("h", "log", "2.0", "PERSIST_FAIL")
	if err := f.store.RecordContact(context.Background(), Caller{ID: "silent", Address: "10.0.0.9", Agent: "x"}, now); err != nil {
		t.Fatal(err)
	}
	const at = `"2026-03-01T12:00:00Z"`
	_, text = f.sendRequest(http.MethodGet, "/api/hosts", "", "")
	sameJSON(t, text, fmt.Sprintf(`{"hosts":[
		{"id":"h","address":"127.0.0.1","agent":"Go-http-client/1.1","firstHeard":%[1]s,"lastHeard":%[1]s,
		 "plugins":[{"name":"log","version":"2.0","status":"failed","since":%[1]s,"reported":%[1]s}]},
		{"id":"silent","address":"10.0.0.9","agent":"x","firstHeard":%[1]s,"lastHeard":%[1]s,"plugins":[]}]}`, at))
}

func TestOtherSitesAreRejected(t *testing.T) {
	public, err := url.Parse("https://cp.example:8443/base")
	if err != nil {
		t.Fatal(err)
	}
	f := newFleetWith(t, func(s *Server) { s.links = Links{Public: public, Proxies: parseNetworks(t, "127.0.0.1/32")} })
	zip := f.addPackage("package", string(packPlugin(t, "log", "1.0", "", "", ""))).urlPath()
	const (
		offer  = `{"name":"log","version":"2.0"}`
		report = `{"plugin":[]}`
	)
	rebound := func(more ...func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			r.Host = "rebound.example:8700"
			for _, adjust := range more {
				adjust(r)
			}
		}
	}
	page := setHeader("Origin", "http://rebound.example:8700") // what a browser adds to a POST of a page there
	for name, tc := range map[string]struct {
		method, path, body string
		adjust             func(*http.Request)
		want               int
	}{
		"another site's script":         {"POST", "/api/offers", offer, setHeader("Sec-Fetch-Site", "cross-site"), 403},
		"another origin":                {"POST", "/api/offers", offer, setHeader("Origin", "https://evil.example"), 403},
		"another site's form":           {"POST", "/settings", "scan=30s", setHeader("Sec-Fetch-Site", "cross-site"), 403},
		"forged report":                 {"POST", control.PathReport, report, setHeader("Sec-Fetch-Site", "cross-site"), 403},
		"our own page":                  {"POST", "/api/offers", offer, setHeader("Sec-Fetch-Site", "same-origin"), 201},
		"no browser":                    {"POST", "/api/offers", offer, nil, 201},
		"a name that leads here":        {"GET", "/api/hosts", "", setHost("rebound.example"), 421},
		"that name, with the port":      {"POST", "/api/offers", offer, setHost("rebound.example:80"), 421},
		"localhost":                     {"GET", "/api/hosts", "", setHost("localhost:8700"), 200},
		"IPv6 loopback":                 {"GET", "/api/hosts", "", setHost("[::1]"), 200},
		"another address":               {"GET", "/api/hosts", "", setHost("10.0.0.1"), 421},
		"no name":                       {"GET", "/api/hosts", "", setHost(" "), 421},
		"the public name":               {"GET", "/api/hosts", "", setHost("CP.example"), 200},
		"the public name, another port": {"GET", "/", "", setHost("cp.example:9443"), 200},
		"a name that ends like it":      {"GET", "/", "", setHost("evil-cp.example"), 421},

		"CP-01 a host's report, any name":      {"POST", control.PathReport, report, rebound(), 200},
		"CP-01 a host's check, any name":       {"POST", control.PathUpdate, report, rebound(), 200},
		"CP-01 a host's list, any name":        {"POST", control.PathList, "{}", rebound(), 200},
		"CP-01 a host's event, any name":       {"POST", control.PathEvent, `{"eventId":"e"}`, rebound(), 200},
		"CP-01 detection, any name":            {"GET", "/luban/api/connection_detect", "", rebound(), 200},
		"CP-01 detection by POST":              {"POST", "/luban/api/connection_detect", "", rebound(), 200},
		"CP-01 a package, any name":            {"GET", zip, "", rebound(), 200},
		"CP-01 the rest of it, any name":       {"POST", "/luban/api/v1/task/list", "{}", rebound(), 404},
		"a page's report":                      {"POST", control.PathReport, report, rebound(page), 421},
		"a page's list":                        {"POST", control.PathList, "{}", rebound(page), 421},
		"a page's fetch":                       {"GET", zip, "", rebound(setHeader("Sec-Fetch-Site", "same-origin")), 421},
		"a page that passes for a host":        {"GET", "/api/hosts", "", rebound(setHeader("X-Client-Instance-ID", "i-1")), 421},
		"a page that passes for a proxy":       {"GET", "/api/hosts", "", rebound(forwardedBy("For", "203.0.113.7", "Host", "localhost")), 421},
		"a page's way round":                   {"GET", "/luban/%2e%2e/api/hosts", "", rebound(), 404},
		"a page's way round, by redirect":      {"GET", "/luban/../api/hosts", "", rebound(), 307},
		"a page's upload":                      {"POST", "/packages", "", rebound(), 421},
		"a page's removal of a package":        {"POST", "/packages/remove", "name=log&version=1.0", rebound(), 421},
		"a page's removal, as if by the route": {"DELETE", "/api/packages?name=log&version=1.0", "", rebound(), 421},
		"the operators' page":                  {"GET", "/", "", rebound(), 421},
	} {
		t.Run(name, func(t *testing.T) {
			if code, text := sendRequest(t, tc.method, f.url+tc.path, tc.body, tc.adjust); code != tc.want {
				t.Errorf("answered %d %s, want %d", code, text, tc.want)
			}
		})
	}
}

func setHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func setHost(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

func encodeForm(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v.Encode()
}
