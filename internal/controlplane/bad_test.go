package controlplane

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/internal/control"
)

func TestBadInput(t *testing.T) {
	f := newFleet(t)
	long := strings.Repeat("n", 256)
	many := `{"plugin":[` + strings.Repeat(`{"name":"a","version":"1","status":"REMOVED"},`, maxEntries) + `{"name":"a","version":"1","status":"REMOVED"}]}`
	for _, tc := range []struct {
		name, method, path, body string
		code                     int
		message                  string
	}{
		{"not JSON", "POST", control.PathReport, `{"plugin":[}`, 400, "not JSON: invalid character '}'"},
		{"empty", "POST", control.PathReport, ``, 400, "not JSON: unexpected end"},
		{"more after the body", "POST", control.PathReport, `{"plugin":[]} x`, 400, "not JSON"},
		{"a list", "POST", control.PathReport, `[]`, 400, "body is a list, want an object"},
		{"no plugins", "POST", control.PathReport, `{}`, 400, "plugin is missing"},
		{"null", "POST", control.PathReport, `null`, 400, "plugin is missing"},
		{"plugin no list", "POST", control.PathReport, `{"plugin":{}}`, 400, "plugin is an object, want a list"},
		{"name no string", "POST", control.PathReport, `{"plugin":[{"name":7}]}`, 400, "plugin.name is a number, want a string"},
		{"no name", "POST", control.PathReport, `{"plugin":[{"status":"REMOVED"}]}`, 400, "plugin[0].name is missing"},
		{"long name", "POST", control.PathReport, `{"plugin":[{"name":"` + long + `"}]}`, 400, "plugin[0].name has 256 bytes"},
		{"long version", "POST", control.PathReport, `{"plugin":[{"name":"a","version":"` + long + `"}]}`, 400, "plugin[0].version has 256 bytes"},
		{"no status", "POST", control.PathReport, `{"plugin":[{"name":"a"}]}`, 400, `plugin[0].status: "" is not a status`},
		{"unknown status", "POST", control.PathReport, `{"plugin":[{"name":"a","status":"REMOVED"},{"name":"b","status":"FINE"}]}`, 400, `plugin[1].status: "FINE"`},
		{"too many plugins", "POST", control.PathReport, many, 413, "plugin lists 50001 plugins"},
		{"huge body", "POST", control.PathReport, strings.Repeat(" ", 4<<20+1), 413, "body has more than 4194304 bytes"},
		{"wrong method", "GET", control.PathReport, ``, 405, "Method Not Allowed"},
		{"wrong path", "POST", "/luban/api/v2/plugin/report_status", `{}`, 404, "not found"},
		{"check not JSON", "POST", control.PathUpdate, `hello`, 400, "not JSON"},
		{"check without plugins", "POST", control.PathUpdate, `{"os":"linux"}`, 400, "plugin is missing"},
		{"check without a name", "POST", control.PathUpdate, `{"plugin":[{"version":"1"}]}`, 400, "plugin[0].name is missing"},
		{"check wrong method", "PUT", control.PathUpdate, `{}`, 405, "Method Not Allowed"},
		{"list not JSON", "POST", control.PathList, `{`, 400, "not JSON"},
		{"list wrong method", "GET", control.PathList, ``, 405, "Method Not Allowed"},
		{"event not JSON", "POST", control.PathEvent, `{{`, 400, "not JSON"},
		{"event without id", "POST", control.PathEvent, `{}`, 400, "eventId is missing"},
		{"event long id", "POST", control.PathEvent, `{"eventId":"` + long + `"}`, 400, "eventId has 256 bytes"},
		{"event time no number", "POST", control.PathEvent, `{"eventId":"a","eventTime":"now"}`, 400, "eventTime is a string, want a whole number"},
		{"event before time", "POST", control.PathEvent, `{"eventId":"a","eventTime":-1}`, 400, "eventTime -1"},
		{"event beyond time", "POST", control.PathEvent, `{"eventId":"a","eventTime":9000000000000000}`, 400, "not in Unix milliseconds"},
		{"100,000 plugins", "POST", control.PathReport, `{"plugin":[` + strings.Repeat(`{"name":"a","version":"1","status":"REMOVED"},`, 100_000) + `]}`, 413, "body has more than 4194304 bytes"},
		{"event huge keywords", "POST", control.PathEvent, `{"eventId":"a","keywords":"` + strings.Repeat("k", 16<<20) + `"}`, 413, "body has more than 16777216 bytes"},
		{"event wrong method", "GET", control.PathEvent, ``, 405, "Method Not Allowed"},
	} {
		t.Run("CP-13 "+tc.name, func(t *testing.T) {
			code, text := f.sendRequest(tc.method, tc.path, "bad", tc.body)
			text = strings.ReplaceAll(text, `\"`, `"`)
			if code != tc.code || !strings.Contains(text, tc.message) {
				t.Errorf("answered %d %.200s, want %d and %q", code, text, tc.code, tc.message)
			}
		})
	}
	t.Run("CP-13 long host id", func(t *testing.T) {
		if code, text := f.sendRequest("POST", control.PathReport, long, `{"plugin":[]}`); code != 400 || !strings.Contains(text, "host id has 256 bytes") {
			t.Errorf("answered %d %s", code, text)
		}
	})
	t.Run("CP-13 nothing was stored", func(t *testing.T) {
		hosts, err := f.store.ListHosts(context.Background())
		if err != nil || len(hosts) > 0 {
			t.Errorf("stored hosts %v, error %v; want none", hosts, err)
		}
	})
}

// openStuckRequest sends only the start of a request.
func openStuckRequest(t *testing.T, address, start string) *bufio.Reader {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte(start)); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(c)
}

const halfReport = "POST " + control.PathReport + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"

func TestSlowClientIsCutOff(t *testing.T) {
	limits := DefaultLimits()
	limits.Header, limits.Read = time.Second, time.Second
	address, _ := startServer(t, limits)
	t.Run("CP-13 an incomplete body is 408", func(t *testing.T) {
		r := openStuckRequest(t, address, halfReport)
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusRequestTimeout {
			t.Errorf("answered %s, want 408", answer.Status)
		}
	})
	t.Run("CP-13 an incomplete header closes the connection", func(t *testing.T) {
		if text, err := openStuckRequest(t, address, "POST / HTTP/1.1\r\nHost: ").ReadString(0); err == nil || isTimeout(err) {
			t.Errorf("read %q, error %v, want a closed connection", text, err)
		}
	})
	t.Run("CP-13 a huge header is 431", func(t *testing.T) {
		r := openStuckRequest(t, address, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: "+strings.Repeat("x", 32<<10)+"\r\n\r\n")
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("answered %s, want 431", answer.Status)
		}
	})
}

func TestSlowClientsDoNotBlockOthers(t *testing.T) {
	address, _ := startServer(t, DefaultLimits())
	for range 20 { // all of these are stuck while the next is served
		openStuckRequest(t, address, halfReport)
	}
	code, text := sendRequest(t, http.MethodPost, "http://"+address+control.PathReport, `{"plugin":[]}`, nil)
	if code != 200 {
		t.Errorf("CP-13 answered %d %s, want 200", code, text)
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}
