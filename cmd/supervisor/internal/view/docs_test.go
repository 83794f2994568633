package view

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/tools/links"
	"pluginsupervisor/plugin"
)

var update = flag.Bool("update", false, "write the examples of output in README.md and docs/operations.md")

// TestDocs checks the examples of output in the documents, which it generates.
func TestDocs(t *testing.T) {
	setUTC(t)
	at := time.Date(2026, 3, 1, 3, 14, 50, 0, time.UTC)
	before := func(d time.Duration) time.Time { return at.Add(-d) }
	metrics := plugin.View{
		Name: "metrics", Version: "1.9.0", Type: plugin.Persist, State: plugin.StateCrashLoop, Since: before(10 * time.Second),
		Restarts: 7, Failures: 3, Why: "exit 3", Next: "retry", NextAt: at.Add(38 * time.Second), Watch: plugin.WatchCgroup,
	}
	logAgent := plugin.View{
		Name: "log-agent", Version: "2.4.1", Type: plugin.Persist, State: plugin.StateRunning, Since: before(76 * time.Hour),
		LastHeartbeat: before(4 * time.Second), HeartbeatInterval: 60, Why: "found running", Watch: plugin.WatchCgroup,
	}
	entry := func(d time.Duration, kind plugin.EntryKind, cause string) plugin.Entry {
		return plugin.Entry{At: before(d), Kind: kind, Plugin: "metrics", Version: "1.9.0", Cause: cause}
	}
	loop := entry(10*time.Second, plugin.EntryState, "exit 3")
	loop.From, loop.To, loop.Decision, loop.Next, loop.NextAt = plugin.StateStarting, plugin.StateCrashLoop, "wait, longer each time", "retry", at.Add(38*time.Second)
	exit := entry(10*time.Second, plugin.EntryExit, "exit 3")
	exit.Exit = &plugin.Exit{PID: 4802, CauseKnown: true, Code: 3, Output: "reading /etc/x.conf\ncannot open /etc/x.conf: permission denied\n"}
	restart := entry(22*time.Second, plugin.EntryState, "out of memory, killed by the kernel")
	restart.From, restart.To = plugin.StateRunning, plugin.StateStarting
	killed := entry(22*time.Second, plugin.EntryExit, "out of memory, killed by the kernel")
	killed.Exit, killed.Decision = &plugin.Exit{PID: 4711, CauseKnown: true, OOM: true, Output: "cache: 180 MiB\n"}, "restart at once"
	started := entry(2*time.Hour, plugin.EntryState, "started after exit 3")
	started.From, started.To = plugin.StateStarting, plugin.StateRunning

	var status, why, events, changes bytes.Buffer
	status.WriteString("$ supervisor status\n")
	mustSucceed(t, WriteStatus(&status, plugin.Snapshot{At: at, Plugins: []plugin.View{logAgent, metrics}}, StatusOptions{}))
	why.WriteString("$ supervisor why metrics\n")
	mustSucceed(t, WriteWhy(&why, &metrics, []plugin.Entry{loop, exit, restart, killed, started}, WhyOptions{Now: at, Output: 10}))
	events.WriteString("$ supervisor events --since 1h -n 3\n")
	for _, e := range []plugin.Entry{restart, exit, loop} {
		mustSucceed(t, WriteEvent(&events, e, Paint{}))
	}
	switching := logAgent
	switching.Change = &plugin.ChangeProgress{What: "upgrade to 2.4.2", Phase: "switching", Since: before(4 * time.Second)}
	mustSucceed(t, WriteStatus(&changes, plugin.Snapshot{
		At: at, Plugins: []plugin.View{switching}, Fetches: []plugin.FetchProgress{{Name: "metrics", Version: "2.0", Done: 1.6e6, Total: 14.1e6}},
	}, StatusOptions{}))
	_, below, found := strings.Cut(changes.String(), "fetching:")
	if !found {
		t.Fatalf("status shows no fetch: %s", changes.String())
	}
	operations := packageExamples(t)
	maps.Copy(operations, map[string]string{"status": status.String(), "why": why.String(), "events": events.String(), "changes": "fetching:" + below})
	for document, of := range map[string]map[string]string{
		"README.md":          {"status": status.String()},
		"docs/operations.md": operations,
	} {
		path := "../../../../" + document
		b, err := os.ReadFile(path)
		mustSucceed(t, err)
		want := string(b)
		for name, text := range of {
			want, err = links.SetBlock(want, name, text)
			mustSucceed(t, err)
		}
		if *update {
			mustSucceed(t, os.WriteFile(path, []byte(want), 0o644))
		} else if diff := cmp.Diff(want, string(b)); diff != "" {
			t.Errorf("%s is stale; make generate writes it (-want +got):\n%s", document, diff)
		}
	}
}

func mustSucceed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
