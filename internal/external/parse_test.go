package external

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/plugin"
)

const (
	running = `{"name":"a","status":"PERSIST_RUNNING","version":"1.0"}`
	failed  = `{"name":"b","status":"PERSIST_FAIL","version":"2.0"}`
)

var (
	lineA = statusLine{Name: "a", Status: "PERSIST_RUNNING", Version: "1.0"}
	lineB = statusLine{Name: "b", Status: "PERSIST_FAIL", Version: "2.0"}
)

func TestParseStatus(t *testing.T) {
	recorded, err := os.ReadFile("testdata/status.txt") // what the existing program printed
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		out  string
		want []statusLine
		err  error
	}{
		"SC-11 recorded, with a diagnostic before": {out: string(recorded), want: []statusLine{
			{"p_healthy", "PERSIST_RUNNING", "1.1"},
			{"p_dead", "PERSIST_FAIL", "2.0"},
			{"p_hung", "PERSIST_FAIL", "3.0"},
			{"p_garbage", "PERSIST_RUNNING", "4.0"},
			{"p_removed", "REMOVED", "5.0"},
			{"p_nofile", "PERSIST_FAIL", "7.0"},
		}},
		"pure":                               {out: "[" + running + "," + failed + "]", want: []statusLine{lineA, lineB}},
		"SC-11 brackets before":              {out: "args=[a b] [1,2] [] [[" + "[" + running + "]", want: []statusLine{lineA}},
		"SC-11 text behind":                  {out: "[" + running + "]\nwarning: [x]\n", want: []statusLine{lineA}},
		"SC-11 broken array before":          {out: `[{"name":"x", [` + failed + "]", want: []statusLine{lineB}},
		"SC-11 of several the last":          {out: "[" + running + "]\n[" + failed + "]", want: []statusLine{lineB}},
		"SC-11 array of something else last": {out: "[" + running + `]` + "\n" + `[{"level":"info"}]`, want: []statusLine{lineA}},
		"array inside an object of ours":     {out: `[{"name":"a","status":"PERSIST_RUNNING","version":"1.0","tags":[` + failed + "]}]", want: []statusLine{lineA}},
		"version of another kind":            {out: `[{"name":"a","status":"PERSIST_RUNNING","version":1},` + failed + "]", want: []statusLine{{Name: "a", Status: "PERSIST_RUNNING"}, lineB}},
		"element without a name":             {out: `[{"status":"PERSIST_RUNNING"},` + failed + `]`, want: []statusLine{lineB}},
		"SC-07 no plugin":                    {out: "note: nothing\n[]\n"},
		"SC-11 empty array in a text":        {out: "args=[]\n", err: errNoStatus},
		"SC-11 nothing":                      {err: errNoStatus},
		"SC-11 no array":                     {out: "cannot open database\n", err: errNoStatus},
		"SC-11 truncated":                    {out: "[" + running + ",", err: errNoStatus},
		"SC-11 an object":                    {out: running, err: errNoStatus},
		"brackets without end":               {out: strings.Repeat(`[{"a":`, 1<<14), err: errNoStatus},
		"SC-11 after many brackets":          {out: strings.Repeat(`[{"a":`, 1<<9) + "\n[" + running + "]", want: []statusLine{lineA}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseStatus([]byte(tt.out))
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPluginStatus(t *testing.T) {
	for word, want := range map[string]plugin.Status{
		"PERSIST_RUNNING": plugin.StatusRunning,
		"PERSIST_FAIL":    plugin.StatusFailed,
		"REMOVED":         plugin.StatusRemoved, // SC-12
		"PERSIST_UNKNOWN": plugin.StatusUnknown, // EV-24: it could not check
		"ONCE_INSTALLED":  plugin.StatusFailed,
		"anything":        plugin.StatusFailed,
	} {
		if got := (statusLine{Status: word}).pluginStatus(); got != want {
			t.Errorf("%s: %v, want %v", word, got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	p := func(name, version string) plugin.Plugin { return plugin.Plugin{Name: name, Version: version} }
	dup := func(name, version string) plugin.Plugin {
		return plugin.Plugin{Name: name, Version: version, Duplicate: true}
	}
	l := func(name, status, version string) statusLine { return statusLine{name, status, version} }
	tests := map[string]struct {
		ps    []plugin.Plugin
		lines []statusLine
		want  []string // status and version; "" when there is no line
	}{
		"by name": {
			[]plugin.Plugin{p("b", "1"), p("a", "1"), p("c", "1")},
			[]statusLine{l("a", "FAIL", "1"), l("b", "RUN", "1"), l("stranger", "RUN", "1")},
			[]string{"RUN 1", "FAIL 1", ""},
		},
		"ST-10 duplicates by version": {
			[]plugin.Plugin{p("a", "1"), dup("a", "2")},
			[]statusLine{l("a", "RUN", "2"), l("a", "FAIL", "1")},
			[]string{"FAIL 1", "RUN 2"},
		},
		"ST-10 duplicates of one version, in order": {
			[]plugin.Plugin{p("a", "1"), dup("a", "1")},
			[]statusLine{l("a", "FAIL", "1"), l("a", "RUN", "1")},
			[]string{"FAIL 1", "RUN 1"},
		},
		"just upgraded": {
			[]plugin.Plugin{p("a", "1"), dup("a", "3")},
			[]statusLine{l("a", "RUN", "2")},
			[]string{"RUN 2", ""},
		},
		"SC-12 the removed record of a name that is installed": {
			[]plugin.Plugin{p("a", "1")},
			[]statusLine{l("a", "REMOVED", "1"), l("a", "RUN", "1")},
			[]string{"RUN 1"},
		},
		"SC-12 removed meanwhile": {
			[]plugin.Plugin{p("a", "1")},
			[]statusLine{l("a", "REMOVED", "1")},
			[]string{"REMOVED 1"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, l := range matchLines(tt.ps, tt.lines) {
				if l == nil {
					got = append(got, "")
				} else {
					got = append(got, l.Status+" "+l.Version)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Parsing returns for any output, and finds an array of ours in any text without
// brackets (SC-11).
func FuzzParseStatus(f *testing.F) {
	recorded, err := os.ReadFile("testdata/status.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"", string(recorded), "[" + running + "]", "[]", "[[[", `[{"a":[{"a":`, "args=[a b c]", `[{"name":1,"status":{}}]`, "[{}]", "\x00[\xff{",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, noise string) {
		lines, err := parseStatus([]byte(noise))
		if (err != nil) && len(lines) > 0 {
			t.Errorf("%d lines and error %v", len(lines), err)
		}
		for _, l := range lines {
			if l.Name == "" || l.Status == "" {
				t.Errorf("line %+v", l)
			}
		}
		quiet := strings.NewReplacer("[", "", "]", "").Replace(noise)
		got, err := parseStatus([]byte(quiet + "\n[" + running + "," + failed + "]\n" + quiet))
		if diff := cmp.Diff([]statusLine{lineA, lineB}, got); err != nil || diff != "" {
			t.Errorf("error %v\n%s", err, diff)
		}
	})
}
