package controlplane

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/internal/control"
)

// collapseSpaces makes white space in HTML comparable.
func collapseSpaces(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestPage(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := newFleetAt(t, func() time.Time { return now })
	page := func() string {
		code, text := f.sendRequest(http.MethodGet, "/", "", "")
		if code != 200 {
			t.Fatalf("answered %d %s, want 200", code, text)
		}
		return collapseSpaces(text)
	}
	if got := page(); !strings.Contains(got, "No host has reported yet.") {
		t.Error("the page of an empty fleet does not show that no host reported")
	}

	f.sendReport("web-1", "log", "1.0", "PERSIST_RUNNING")
	f.sendReport("web-1", "probe", "3.1", "PERSIST_RUNNING")
	now = now.Add(2 * time.Hour)
	f.sendReport("web-1", "log", "1.0", "PERSIST_FAIL")
	if code, text := f.sendRequest(http.MethodPost, control.PathEvent, "web-1",
		`{"eventId":"agent.plugin.update","keywords":"{\"name\":\"log\",\"version\":\"2.0\",\"status\":\"2\",\"exitCode\":\"-1\"}"}`); code != 200 {
		t.Fatalf("event answered %d %s, want 200", code, text)
	}
	if code, text := f.sendRequest(http.MethodPost, "/api/offers", "", `{"name":"log","version":"2.0","timeout":90}`); code != 201 {
		t.Fatalf("offer answered %d %s, want 201", code, text)
	}
	now = now.Add(5 * time.Minute)

	got := page()
	for what, want := range map[string]string{
		"count":          `<dt>Failed</dt><dd>1</dd>`,
		"host":           `<h3>web-1 <span class="tally">1 failed</span></h3>`,
		"last seen":      `last seen <time datetime="2026-03-01T14:00:00Z" title="2026-03-01 14:00:00 UTC">5 min ago</time>`,
		"plugin":         `<th scope="row">log</th>`,
		"version, offer": `>1.0 <span class="offered" title="Offered: installed at the host's next update check">→ 2.0</span></td>`,
		"state":          `<span class="state" data-state="failed">failed</span> <span class="for">for <time datetime="2026-03-01T14:00:00Z" title="2026-03-01 14:00:00 UTC">5 min</time>`,
		"running since":  `<span class="state" data-state="running">running</span> <span class="for">for <time datetime="2026-03-01T12:00:00Z" title="2026-03-01 12:00:00 UTC">2 h</time>`,
		"change":         `<span class="was">running →</span> <span class="state" data-state="failed">failed</span>`,
		"first report":   `first report, 3.1`,
		"event":          `<td class="what">log 2.0: timed out, exit -1</td>`,
		"offer":          `aria-label="Withdraw log 2.0"`,
		"offer's time":   `timeout 1m30s`,
		"no login":       `There is no login yet`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s: page lacks %s", what, want)
		}
	}
}

func TestPageEscapesAndCuts(t *testing.T) {
	f := newFleet(t)
	const evil = `<script>alert(1)</script>\"'`
	f.sendRequest(http.MethodPost, control.PathReport, "<img src=x onerror=alert(1)>",
		`{"plugin":[{"name":"`+evil+`","status":"PERSIST_FAIL","version":"<b>"},{"name":"`+strings.Repeat("ü", 127)+`","status":"REMOVED","version":"1"}]}`)
	f.sendRequest(http.MethodPost, control.PathEvent, "h", `{"eventId":"<i>","keywords":"</td><script>`+strings.Repeat("k", 1000)+`"}`)
	answer, err := http.Get(f.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	_, page := f.sendRequest(http.MethodGet, "/", "", "")
	if n := strings.Count(page, "<script>"); n != 1 {
		t.Errorf("%d scripts, want the page's own", n)
	}
	for _, bad := range []string{"<img", "<b>", "<i>", strings.Repeat("k", 200), ">" + strings.Repeat("ü", 61)} {
		if strings.Contains(strings.ReplaceAll(page, "<i>default</i>", ""), bad) {
			t.Errorf("page has %q", bad)
		}
	}
	if !strings.Contains(page, "&lt;script&gt;alert(1)") || !strings.Contains(page, strings.Repeat("ü", 59)+"…") {
		t.Error("page does not show what was reported")
	}
	// The policy lets the page's own style and script run, so what is in the page must be them.
	policy := answer.Header.Get("Content-Security-Policy")
	for tag, kind := range map[string]string{"style": "style-src", "script": "script-src"} {
		_, rest, _ := strings.Cut(page, "<"+tag+">")
		inside, _, _ := strings.Cut(rest, "</"+tag+">")
		if want := kind + " '" + hashSource(inside) + "'"; !strings.Contains(policy, want) {
			t.Errorf("policy %s lacks %s", policy, want)
		}
	}
}

func TestPageOfALargeFleet(t *testing.T) {
	f := newFleet(t)
	for i := range shownHosts + 3 {
		if err := f.store.RecordContact(context.Background(), Caller{ID: "host-" + strings.Repeat("x", i)}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	_, page := f.sendRequest(http.MethodGet, "/", "", "")
	if n := strings.Count(page, `class="card host"`); n != shownHosts || !strings.Contains(page, "3 more hosts are not shown") {
		t.Errorf("page shows %d hosts", n)
	}
}

func TestForms(t *testing.T) {
	f := newFleet(t)
	send := func(path, body string) (int, string) {
		return sendRequest(t, http.MethodPost, f.url+path, body, setHeader("Content-Type", "application/x-www-form-urlencoded"))
	}
	for _, step := range []struct {
		name, path, body string
		code             int
		shows            string
	}{
		{"offer", "/offers", encodeForm("name", "log", "version", "2.0", "timeout", "90"), 303, `Withdraw log 2.0`},
		{"offer to one host", "/offers", encodeForm("name", "log", "version", "3.0", "timeout", "", "host", "h"), 303, `Withdraw log 3.0`},
		{"bad name", "/offers", encodeForm("name", "l/g", "version", "2.0"), 400, `value="l/g"`},
		{"bad timeout", "/offers", encodeForm("name", "log", "version", "2.0", "timeout", "soon"), 400, `timeout: &#34;soon&#34; is not a duration`},
		{"withdraw", "/offers/withdraw", encodeForm("name", "log", "version", "2.0", "host", ""), 303, `Withdraw log 3.0`},
		{"withdraw again", "/offers/withdraw", encodeForm("name", "log", "version", "2.0", "host", ""), 404, `offer not found: log 2.0`},
		{"settings", "/settings", encodeForm("scan", "5m", "pull", "90", "refresh", "", "update", "1h", "reports", "lazy"), 303, `<dd>1m30s</dd>`},
		{"too short", "/settings", encodeForm("scan", "5s"), 400, `scan interval of 5s is out of range: want 10s to 168h, or 0 for the host&#39;s default`},
		{"no duration", "/settings", encodeForm("pull", "often"), 400, `value="often"`},
		{"not a form", "/settings", "%zz", 400, `body`},
	} {
		t.Run(step.name, func(t *testing.T) {
			code, text := send(step.path, step.body)
			if code != step.code {
				t.Fatalf("answered %d %s", code, text)
			}
			if code == 303 {
				_, text = f.sendRequest(http.MethodGet, "/", "", "")
			}
			if !strings.Contains(text, step.shows) {
				t.Errorf("page lacks %s", step.shows)
			}
		})
	}
	got, err := f.store.ReadSettings(context.Background())
	if want := (Settings{Scan: 300, Pull: 90, Update: 3600, Lazy: true}); err != nil || got != want {
		t.Errorf("CP-08 settings %+v, want %+v: %v", got, want, err)
	}
}
