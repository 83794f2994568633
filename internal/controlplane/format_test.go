package controlplane

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"pluginsupervisor/plugin"
)

func TestFormatAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-2 * time.Hour:          "in 2 h",
		-time.Second:            "just now",
		0:                       "just now",
		59 * time.Second:        "59 s ago",
		time.Minute:             "1 min ago",
		59*time.Minute + 59e9:   "59 min ago",
		47*time.Hour + 59*60e9:  "47 h ago",
		48 * time.Hour:          "2 d ago",
		400 * 24 * time.Hour:    "400 d ago",
		999 * time.Millisecond:  "just now",
		1001 * time.Millisecond: "1 s ago",
	} {
		if got := formatAge(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestSummarizeEvent(t *testing.T) {
	for name, tc := range map[string]struct{ id, keywords, want string }{
		"upgraded":       {plugin.EventUpdate, `{"name":"log","version":"2","status":"0","exitCode":"0"}`, "log 2: done"},
		"upgrade failed": {plugin.EventUpdate, `{"name":"log","version":"2","status":"1","exitCode":"3"}`, "log 2: failed, exit 3"},
		"with a reason":  {plugin.EventUpdate, `{"name":"log","version":"2","status":"1","exitCode":"3","errMsg":"digest differs"}`, "log 2: failed: digest differs"},
		"odd status":     {plugin.EventUpdate, `{"name":"log","version":"2","status":"9"}`, "log 2: finished with status 9"},
		"inventory":      {plugin.EventLocalList, `{"pluginList":"{\"name\":[\"a\",\"b\"],\"version\":[\"1\",\"2\"]}"}`, "2 installed: a 1, b 2"},
		"odd inventory":  {plugin.EventLocalList, `{"pluginList":"{\"name\":[\"a\"],\"version\":[]}"}`, `pluginList={"name":["a"],"version":[]}`},
		"command":        {plugin.EventExecute, `{"pluginName":"once","pluginVersion":"1","exitCode":"234","errorCode":"PACKAGE_NOT_FOUND"}`, "once 1: exit 234 PACKAGE_NOT_FOUND"},
		"another event":  {"agent.other", `{"b":"2","a":"1"}`, "a=1 b=2"},
		"not flat":       {plugin.EventUpdate, `{"name":["log"]}`, `{"name":["log"]}`},
		"not JSON":       {"agent.other", `well`, "well"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := summarizeEvent(Event{ID: tc.id, Keywords: tc.keywords}); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestShortenText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, n := rapid.String().Draw(t, "text"), rapid.IntRange(1, 40).Draw(t, "n")
		got := shortenText(n, text)
		if utf8.RuneCountInString(got) > n {
			t.Fatalf("%q has more than %d characters", got, n)
		}
		if got != text && !strings.HasPrefix(text, strings.TrimSuffix(got, "…")) {
			t.Fatalf("%q is not a prefix of %q", got, text)
		}
	})
}

func TestSecondsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Seconds(rapid.Int32().Draw(t, "seconds"))
		if got, err := ParseSeconds(want.String()); err != nil || got != want {
			t.Fatalf("%d is written %q and read %d: %v", want, want.String(), got, err)
		}
	})
}

func TestParseSeconds(t *testing.T) {
	for text, want := range map[string]Seconds{"": 0, " 15m ": 900, "90": 90, "1h30m": 5400, "0": 0, "0s": 0} {
		if got, err := ParseSeconds(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"soon", "1.5s", "99999999999999999999s", "1e3", "9999999999"} {
		if got, err := ParseSeconds(text); err == nil {
			t.Errorf("%q was parsed as %d, want an error", text, got)
		}
	}
}
