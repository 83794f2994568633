package controlplane

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/plugin"
)

// agentRequests holds the recorded requests of the existing agent and its command line.
type agentRequests struct {
	Headers  map[string]map[string]string // by method
	Requests []struct{ Trace, Method, Path, Body string }
}

func recordedAgent(t *testing.T) agentRequests {
	t.Helper()
	text, err := os.ReadFile("testdata/agent.json")
	if err != nil {
		t.Fatal(err)
	}
	var a agentRequests
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	if len(a.Requests) < 40 {
		t.Fatalf("%d recorded requests, want at least 40", len(a.Requests))
	}
	return a
}

// agentHost is a host with the existing agent. It reaches the control plane by its
// own URL, from the address 127.0.0.2.
type agentHost struct {
	t        *testing.T
	recorded agentRequests
	base     string
	id       func(*http.Request) // sets the headers with the host's id
	client   *http.Client
	urls     map[string]string // of the packages that were listed, by NAME_VERSION.zip
	sums     map[string]string // their MD5
}

func (a *agentHost) sendRecorded(method, url, body string, adjust func(*http.Request)) (int, string) {
	a.t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for name, value := range a.recorded.Headers[method] {
		if name != "Accept-Encoding" { // set by the transport, which decodes the answer
			r.Header.Set(name, value)
		}
	}
	if adjust != nil {
		adjust(r)
	}
	answer, err := a.client.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// fetchPackage downloads a listed package and checks it as the existing program does.
func (a *agentHost) fetchPackage(file string) error {
	if a.urls[file] == "" {
		return fmt.Errorf("%s was not listed", file)
	}
	if !strings.HasPrefix(a.urls[file], a.base+"/packages/") {
		return fmt.Errorf("%s is listed at %s, want it below %s", file, a.urls[file], a.base)
	}
	code, text := a.sendRecorded(http.MethodGet, a.urls[file], "", nil) // without the host's id
	sum := md5.Sum([]byte(text))
	if code != 200 || hex.EncodeToString(sum[:]) != a.sums[file] {
		return fmt.Errorf("%s answered %d, %d bytes", a.urls[file], code, len(text))
	}
	return nil
}

// readPackageURL stores the URLs and digests of a list.
func (a *agentHost) readPackageURL(text string) error {
	var list struct {
		PluginList []struct{ Name, Version, URL, MD5 string }
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return err
	}
	for _, p := range list.PluginList {
		file := p.Name + "_" + p.Version + ".zip"
		a.urls[file], a.sums[file] = p.URL, p.MD5
	}
	return nil
}

// replayRequest sends all recorded requests; the server must know the host as id.
func (a *agentHost) replayRequest(id string) {
	a.t.Helper()
	if code, text := a.sendRecorded(http.MethodGet, a.base+"/luban/api/connection_detect", "", nil); code != 200 || text != "ok" {
		a.t.Fatalf("connection_detect answered %d %q", code, text)
	}
	updates := []string{`[{"name":"p_up","version":"2.0","timeout":60}]`, `[]`}
	for _, r := range a.recorded.Requests {
		if r.Method == http.MethodGet {
			if err := a.fetchPackage(path.Base(r.Path)); err != nil {
				a.t.Errorf("%s: %v", r.Trace, err)
			}
			continue
		}
		code, text := a.sendRecorded(r.Method, a.base+r.Path, r.Body, a.id)
		var answer struct {
			InstanceID string
			Plugin     json.RawMessage
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil || code != 200 || answer.InstanceID != id {
			a.t.Fatalf("%s: %s answered %d %s, want the host %s: %v", r.Trace, r.Path, code, text, id, err)
		}
		switch r.Path {
		case control.PathList:
			if err := a.readPackageURL(text); err != nil {
				a.t.Fatal(err)
			}
		case control.PathUpdate:
			sameJSON(a.t, string(answer.Plugin), updates[0])
			updates = updates[1:]
		}
	}
	if len(updates) > 0 {
		a.t.Error("not all update checks were made")
	}
}

// front starts the way to the handler: it returns the URL that the agent uses, and
// the server behind it.
type front func(t *testing.T, server http.Handler) (base string, web *httptest.Server)

func startDirect(t *testing.T, server http.Handler) (string, *httptest.Server) {
	web := httptest.NewServer(server)
	return web.URL, web
}

func startDirectTLS(t *testing.T, server http.Handler) (string, *httptest.Server) {
	web := httptest.NewUnstartedServer(server)
	web.EnableHTTP2 = true
	web.StartTLS()
	return web.URL, web
}

// startProxied returns a front with a TLS proxy, which has the name that the agent
// uses for the server of its region, before a server on loopback.
func startProxied(keepsHost bool) front {
	return func(t *testing.T, server http.Handler) (string, *httptest.Server) {
		behind := httptest.NewServer(server)
		t.Cleanup(behind.Close)
		target, err := url.Parse(behind.URL)
		if err != nil {
			t.Fatal(err)
		}
		web := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			if keepsHost {
				r.Out.Host = r.In.Host
				r.Out.Header.Del("X-Forwarded-Host")
			}
		}})
		return "https://lab.axt.example", web
	}
}

// TestExistingAgent replays the recorded requests of the existing agent by each way
// to reach a control plane.
func TestExistingAgent(t *testing.T) {
	byProxy := Links{Proxies: parseNetworks(t, "127.0.0.1/32")}
	for name, tc := range map[string]struct {
		front front
		links Links
		id    func(*http.Request)
		want  string // the host's id
	}{
		"direct, with its id":              {startDirect, Links{}, setHeader("X-Client-Instance-ID", "i-lab0001"), "i-lab0001"},
		"TLS, a managed host":              {startDirectTLS, Links{}, setHeader("x-acs-instance-id", "mi-lab0001"), "mi-lab0001"},
		"TLS, without an id":               {startDirectTLS, Links{}, nil, "127.0.0.2"},
		"proxy, with its id":               {startProxied(false), byProxy, setHeader("X-Client-Instance-ID", "i-lab0001"), "i-lab0001"},
		"proxy, without an id":             {startProxied(false), byProxy, nil, "127.0.0.2"},
		"proxy that keeps Host, with none": {startProxied(true), byProxy, setHeader("X-Client-Instance-ID", "unknown"), "127.0.0.2"},
		"proxy that keeps Host, managed":   {startProxied(true), byProxy, setHeader("x-acs-instance-id", "mi-lab0001"), "mi-lab0001"},
	} {
		t.Run("CP-01 "+name, func(t *testing.T) {
			var server *Server
			f := newFleetWith(t, func(s *Server) { s.links, server = tc.links, s })
			for _, p := range [][2]string{{"p_up", "1.0"}, {"p_up", "2.0"}, {"o_once", "1.0"}} {
				f.addPackage("package", string(packPlugin(t, p[0], p[1], "linux", "x64", "")))
			}
			if code, text := f.sendRequest(http.MethodPost, "/api/offers", "", `{"name":"p_up","version":"2.0"}`); code != http.StatusCreated {
				t.Fatalf("offer answered %d %s, want 201", code, text)
			}
			base, web := tc.front(t, server.Handler(true))
			t.Cleanup(web.Close)
			agent := newAgentHost(t, base, web, tc.id)
			agent.replayRequest(tc.want)

			hosts, err := f.store.ListHosts(context.Background())
			if err != nil || len(hosts) != 1 || hosts[0].ID != tc.want || hosts[0].Address != "127.0.0.2" || hosts[0].Agent != "linux_amd64/2.2.3.578" {
				t.Fatalf("hosts %+v, %v", hosts, err)
			}
			got := map[string]string{}
			for _, p := range hosts[0].Plugins {
				got[p.Name] = fmt.Sprint(p.Version, " ", p.Status)
			}
			want := map[string]string{
				"once_ok": fmt.Sprint("1.0 ", plugin.StatusInstalled), "o_once": fmt.Sprint("1.0 ", plugin.StatusRemoved),
				"o1": fmt.Sprint("1.0 ", plugin.StatusInstalled), "p_up": fmt.Sprint("2.0 ", plugin.StatusRunning),
				"p_dead": fmt.Sprint("2.0 ", plugin.StatusRunning), "p_garbage": fmt.Sprint("4.0 ", plugin.StatusRunning),
				"p_healthy": fmt.Sprint("1.1 ", plugin.StatusRunning), "sig": fmt.Sprint("1.0 ", plugin.StatusFailed),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("plugins (-want +got):\n%s", diff)
			}
			agent.replayRest()
		})
	}
}

// newAgentHost returns a host whose requests come from 127.0.0.2 and reach web for
// every name in the URL.
func newAgentHost(t *testing.T, base string, web *httptest.Server, id func(*http.Request)) *agentHost {
	t.Helper()
	transport := web.Client().Transport.(*http.Transport).Clone()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", web.Listener.Addr().String())
	}
	if transport.TLSClientConfig != nil {
		transport.TLSClientConfig.ServerName = "example.com" // of the certificate of httptest
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &agentHost{
		t: t, recorded: recordedAgent(t), base: base, id: id, client: &http.Client{Transport: transport},
		urls: map[string]string{}, sums: map[string]string{},
	}
}

// replayRest sends the agent's requests that are not the plugin manager's.
func (a *agentHost) replayRest() {
	a.t.Helper()
	for _, r := range []struct{ method, path, body string }{
		{"POST", "/luban/api/v1/update/update_check", `{"os":"linux"}`},
		{"GET", "/luban/api/heart-beat?status=ok&uptime=1", ""},
		{"GET", "/luban/api/gshell", ""},
		{"GET", "/luban/api/classic/region-id", ""},
		{"GET", "/luban/notify_server", ""},
		{"POST", "/luban/api/v1/task/list?reason=startup", ""},
		{"POST", "/luban/api/v1/task/finish", "output"},
		{"POST", "/luban/api/v1/session/list", "{}"},
		{"POST", "/luban/api/v1/exception/client_report", "{}"},
		{"POST", "/luban/api/instance/register", "{}"},
		{"POST", "/luban/api/instance/put_inventory", `{"items":"` + strings.Repeat("i", 100<<10) + `"}`},
	} {
		if code, text := a.sendRecorded(r.method, a.base+r.path, r.body, a.id); code != http.StatusNotFound {
			a.t.Errorf("%s answered %d %s, want 404", r.path, code, text)
		}
	}
	report := `{"plugin":[{"name":"p_up","status":"PERSIST_RUNNING","version":"2.0"}]}`
	if code, text := a.sendRecorded(http.MethodPost, a.base+control.PathReport, report, a.id); code != 200 {
		a.t.Errorf("a report after them answered %d %s, want 200", code, text)
	}
}
