package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/plugin"
)

func newView(name string, state plugin.State) plugin.View {
	return plugin.View{Name: name, Version: "1.0", Type: plugin.Persist, State: state, Since: time.Unix(1e9, 0).UTC()}
}

func TestStatusExitCodes(t *testing.T) {
	socket := serveSnapshot(t, plugin.Snapshot{At: time.Unix(1e9, 0).UTC(), Plugins: []plugin.View{
		newView("good", plugin.StateRunning), newView("upgrading", plugin.StateUpgrading),
		newView("bad", plugin.StateCrashLoop), newView("stopped", plugin.StateStopped),
	}})
	for _, c := range []struct {
		names  string
		code   exitCode
		stderr string
	}{
		{"", exitNotRunning, ""},
		{"good", exitOK, ""},
		{"good upgrading", exitOK, ""},
		{"good bad", exitNotRunning, ""},
		{"stopped", exitNotRunning, ""},
		{"missing", exitNone, "supervisor: no such plugin: missing\n"},
		{"bad missing absent", exitNone, "supervisor: no such plugin: missing\nsupervisor: no such plugin: absent\n"},
	} {
		var out, errs bytes.Buffer
		code := execute(t.Context(), append([]string{"status", "--socket", socket}, strings.Fields(c.names)...), &out, &errs)
		if code != c.code || errs.String() != c.stderr {
			t.Errorf("status %s: exit %d, stderr %q", c.names, code, errs.String())
		}
		if c.names == "missing" && out.Len() > 0 {
			t.Errorf("status missing printed %q", out.String())
		}
		for line := range strings.Lines(out.String()) {
			name, _, _ := strings.Cut(line, " ")
			if name != "NAME" && c.names != "" && !strings.Contains(c.names, name) {
				t.Errorf("status %s shows %s", c.names, name)
			}
		}
	}
}

// The JSON of the command has the fields of the API.
func TestStatusJSONIsTheSnapshot(t *testing.T) {
	want := plugin.Snapshot{
		At: time.Unix(1e9, 0).UTC(), Plugins: []plugin.View{newView("good", plugin.StateRunning)},
		Reports: plugin.ReportStatus{Pending: 1, LastError: "<refused>"},
	}
	var out, errs bytes.Buffer
	if code := execute(t.Context(), []string{"status", "-o", "json", "--socket", serveSnapshot(t, want)}, &out, &errs); code != exitOK {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	var got plugin.Snapshot
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.Contains(out.String(), `"since": "2001-09-09T01:46:40Z"`) || !strings.Contains(out.String(), "<refused>") {
		t.Errorf("times are not RFC 3339, or text is escaped:\n%s", out.String())
	}
}

func TestStatusCompletesNames(t *testing.T) {
	socket := serveSnapshot(t, plugin.Snapshot{Plugins: []plugin.View{newView("hello", plugin.StateRunning), newView("crash", plugin.StateCrashLoop)}})
	var out, errs bytes.Buffer
	execute(t.Context(), []string{"__complete", "status", "--socket", socket, ""}, &out, &errs)
	if !strings.HasPrefix(out.String(), "hello\ncrash\n") {
		t.Errorf("got %q, %q", out.String(), errs.String())
	}
}
