package controlplane

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/plugin"
)

func TestReport(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := newFleetAt(t, func() time.Time { return now })

	t.Run("CP-01 recorded body of the existing program", func(t *testing.T) {
		body := "{\n    \"plugin\": [\n        {\n            \"name\": \"p_up\",\n            \"status\": \"PERSIST_RUNNING\",\n" +
			"            \"version\": \"1.0\",\n            \"sysTagType\": \"add\"\n        }\n    ]\n}\n"
		code, text := f.sendRequest(http.MethodPost, "/luban/api/v1/plugin/report_status", "i-1", body)
		if code != 200 {
			t.Fatalf("answered %d %s, want 200", code, text)
		}
		sameJSON(t, text, `{"instanceId":"i-1","code":0,"scanInterval":0,"pullInterval":0,"refreshInterval":0,"reportType":0}`)
	})
	t.Run("CP-01 without an instance id the peer's address is the host", func(t *testing.T) {
		code, text := f.sendRequest(http.MethodPost, "/luban/api/v1/plugin/report_status", "", `{"plugin":[{"name":"a","status":"ONCE_INSTALLED","version":"1"}]}`)
		if code != 200 || !strings.Contains(text, `"instanceId":"127.0.0.1"`) {
			t.Errorf("answered %d %s", code, text)
		}
	})
	t.Run("CP-01 the id that names the host", func(t *testing.T) {
		for name, tc := range map[string]struct {
			pairs []string // headers
			want  string
		}{
			"managed":             {[]string{"x-acs-instance-id", "mi-1"}, "mi-1"},
			"both":                {[]string{"X-Client-Instance-ID", "i-1", "x-acs-instance-id", "mi-1"}, "i-1"},
			"not known":           {[]string{"X-Client-Instance-ID", "unknown"}, "127.0.0.1"},
			"not known, managed":  {[]string{"X-Client-Instance-ID", "unknown", "x-acs-instance-id", "mi-1"}, "mi-1"},
			"empty":               {[]string{"X-Client-Instance-ID", "", "x-acs-instance-id", " "}, "127.0.0.1"},
			"a foreign forwarder": {[]string{"X-Forwarded-For", "203.0.113.7"}, "127.0.0.1"},
		} {
			_, text := sendRequest(t, http.MethodPost, f.url+control.PathReport, `{"plugin":[]}`, func(r *http.Request) {
				for i := 0; i < len(tc.pairs); i += 2 {
					r.Header.Set(tc.pairs[i], tc.pairs[i+1])
				}
			})
			if !strings.Contains(text, `"instanceId":"`+tc.want+`"`) {
				t.Errorf("%s: answered %s, want %s", name, text, tc.want)
			}
		}
	})
	t.Run("CP-08 the settings are in every answer", func(t *testing.T) {
		want := Settings{Scan: 30, Pull: 40, Refresh: 50, Update: 60, Lazy: true}
		if _, err := f.store.ChangeSettings(context.Background(), func(s *Settings) error { *s = want; return nil }); err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"i-1", "i-2"} {
			_, text := f.sendRequest(http.MethodPost, control.PathReport, host, `{"plugin":[{"name":"a","status":"REMOVED","version":"1"}]}`)
			sameJSON(t, text, `{"instanceId":"`+host+`","code":0,"scanInterval":30,"pullInterval":40,"refreshInterval":50,"reportType":1}`)
		}
	})
}

func TestReportHistory(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := start
	f := newFleetAt(t, func() time.Time { return now })
	for _, step := range []struct{ version, word string }{
		{"1.0", "PERSIST_RUNNING"},
		{"1.0", "PERSIST_RUNNING"},
		{"1.0", "PERSIST_FAIL"},
		{"1.0", "PERSIST_RUNNING"},
		{"1.1", "PERSIST_RUNNING"},
		{"1.1", "PERSIST_RUNNING"},
	} {
		f.sendReport("h", "agent", step.version, step.word)
		now = now.Add(time.Minute)
	}
	hosts, err := f.store.ListHosts(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	at := func(minute int) time.Time { return start.Add(time.Duration(minute) * time.Minute) }
	want := []Host{{
		ID: "h", Address: "127.0.0.1", Agent: "Go-http-client/1.1", FirstSeen: at(0), LastSeen: at(5),
		Plugins: []HostPlugin{{Name: "agent", Version: "1.1", Status: plugin.StatusRunning, Since: at(4), Reported: at(5)}},
	}}
	if diff := cmp.Diff(want, hosts); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	changes, err := f.store.ListChanges(context.Background(), 10)
	if err != nil {
		t.Fatal(err)
	}
	run, fail := plugin.StatusRunning, plugin.StatusFailed
	wantChanges := []Change{
		{Host: "h", Plugin: "agent", Version: "1.1", Status: run, WasVersion: "1.0", WasStatus: run, At: at(4)},
		{Host: "h", Plugin: "agent", Version: "1.0", Status: run, WasVersion: "1.0", WasStatus: fail, At: at(3)},
		{Host: "h", Plugin: "agent", Version: "1.0", Status: fail, WasVersion: "1.0", WasStatus: run, At: at(2)},
		{Host: "h", Plugin: "agent", Version: "1.0", Status: run, First: true, At: at(0)},
	}
	if diff := cmp.Diff(wantChanges, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestSelectOnePerName(t *testing.T) {
	entry := func(version string, s plugin.Status) plugin.ReportEntry {
		return plugin.ReportEntry{Name: "a", Version: version, Status: s}
	}
	for name, tc := range map[string]struct{ in, want []plugin.ReportEntry }{
		"ST-10 the first counts": {
			in:   []plugin.ReportEntry{entry("1", plugin.StatusFailed), entry("2", plugin.StatusRunning)},
			want: []plugin.ReportEntry{entry("1", plugin.StatusFailed)},
		},
		"ST-10 unless it is removed": {
			in:   []plugin.ReportEntry{entry("1", plugin.StatusRemoved), entry("2", plugin.StatusRunning)},
			want: []plugin.ReportEntry{entry("2", plugin.StatusRunning)},
		},
		"all removed": {
			in:   []plugin.ReportEntry{entry("1", plugin.StatusRemoved), entry("2", plugin.StatusRemoved)},
			want: []plugin.ReportEntry{entry("1", plugin.StatusRemoved)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, selectOnePerName(tc.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUpdateCheck(t *testing.T) {
	f := newFleet(t)
	for _, o := range []Offer{
		{Name: "log", Version: "2.0", Timeout: 90},
		{Name: "probe", Version: "1.0"},
		{Name: "probe", Version: "1.1-special", Host: "h2"},
		{Name: "other", Version: "9"},
		{Name: "zeta", Version: "3", Host: "h2"},
	} {
		if err := f.store.MakeOffer(context.Background(), o); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.store.ChangeSettings(context.Background(), func(s *Settings) error { s.Update = 1801; return nil }); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ host, has, want string }{
		"CP-01 another version":      {"h1", `{"name":"log","version":"1.0"}`, `{"name":"log","version":"2.0","timeout":90}`},
		"CP-01 an older one as well": {"h1", `{"name":"log","version":"3.0"}`, `{"name":"log","version":"2.0","timeout":90}`},
		"CP-01 already there":        {"h1", `{"name":"log","version":"2.0"}`, ``},
		"CP-01 not listed":           {"h1", `{"name":"nothing","version":"1"}`, ``},
		"CP-01 in the host's order": {
			"h1", `{"name":"probe","version":"0"},{"name":"log","version":"1.0"}`,
			`{"name":"probe","version":"1.0","timeout":60},{"name":"log","version":"2.0","timeout":90}`,
		},
		"CP-01 listed twice":               {"h1", `{"name":"probe","version":"0"},{"name":"probe","version":"5"}`, `{"name":"probe","version":"1.0","timeout":60}`},
		"CP-01 for one host before all":    {"h2", `{"name":"probe","version":"1.0"}`, `{"name":"probe","version":"1.1-special","timeout":60}`},
		"CP-01 one host's own, it has it":  {"h2", `{"name":"probe","version":"1.1-special"}`, ``},
		"CP-01 one host's own, not others": {"h1", `{"name":"zeta","version":"1"}`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			code, text := f.sendRequest(http.MethodPost, "/luban/api/v2/plugin/update_check", tc.host, `{"os":"linux","arch":"x64","plugin":[`+tc.has+`]}`)
			if code != 200 {
				t.Fatalf("answered %d %s, want 200", code, text)
			}
			sameJSON(t, text, `{"instanceId":"`+tc.host+`","nextInterval":1801,"plugin":[`+tc.want+`]}`)
		})
	}
}

func TestPluginList(t *testing.T) {
	f := newFleet(t)
	code, text := f.sendRequest(http.MethodPost, "/luban/api/v1/plugin/list", "h", "{\n    \"osType\": \"linux\",\n    \"pluginName\": \"p_up\",\n    \"version\": \"\",\n    \"arch\": \"\"\n}\n")
	var answer map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &answer); code != 200 || err != nil {
		t.Fatalf("CP-01 answered %d %s: %v", code, text, err)
	}
	if len(answer["requestId"]) < 10 {
		t.Errorf("CP-01 request id %s", answer["requestId"])
	}
	delete(answer, "requestId")
	rest, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	sameJSON(t, string(rest), `{"code":0,"instanceId":"h","pluginList":[]}`)
}

func TestEvent(t *testing.T) {
	f := newFleet(t)
	code, text := f.sendRequest(http.MethodPost, "/luban/api/metrics", "h", `{"eventId":"agent.plugin.execute","category":"PLUGIN","subCategory":"","eventLevel":"INFO",`+
		`"eventTime":1795402604238,"common":"{}","keywords":"{\"exitCode\":\"0\",\"pluginName\":\"once_ok\"}"}`)
	if code != 200 {
		t.Fatalf("CP-01 answered %d %s, want 200", code, text)
	}
	events, err := f.store.ListEvents(context.Background(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 1 {
		t.Fatalf("CP-01 kept %d events", len(events))
	}
	want := Event{
		Host: "h", ID: "agent.plugin.execute", Level: "INFO", Keywords: `{"exitCode":"0","pluginName":"once_ok"}`,
		At: timeOfMillis(1795402604238), Received: events[0].Received,
	}
	if diff := cmp.Diff(want, events[0]); diff != "" {
		t.Error(diff)
	}
}
