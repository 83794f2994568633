package supervisor

import (
	"context"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/actors"
	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// fixedWatcher is a Watcher that reports fixed exits and finds no process.
type fixedWatcher struct {
	actors.Watcher
	exits []plugin.Exit
}

func (w fixedWatcher) Adopt(_ context.Context, ts []plugin.WatchTarget) (observed []plugin.Observed) {
	for _, t := range ts {
		observed = append(observed, plugin.Observed{Name: t.Plugin.Name})
	}
	return observed
}

func (w fixedWatcher) Follow(_ context.Context, exited func(plugin.Exit)) error {
	for _, e := range w.exits {
		exited(e)
	}
	return nil
}

// AP-07: each exit is marked in the log of its plugin before it is reported, also one
// that no supervisor has seen; the exit of one process of several is not.
func TestExitMarks(t *testing.T) {
	root, at := t.TempDir(), time.Date(2026, 3, 1, 3, 14, 28, 0, time.UTC)
	path := layout.Log(root, "p")
	if err := durable.MakeFolder(layout.Logs(root), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("hello"), 0o640); err != nil {
		t.Fatal(err)
	}
	m := &exitMarks{root: root, log: logrus.New(), Watcher: fixedWatcher{exits: []plugin.Exit{
		{Name: "p", At: at, PID: 7, CauseKnown: true, Code: 3},
		{Name: "p", At: at, PID: 8, CauseKnown: true, Signal: "SIGSEGV", Partial: true},
		{Name: "p", At: at, PID: 9},
		{Name: "p", At: at, PID: 9, CauseKnown: true, Signal: "SIGKILL", Late: true},
		{Name: "p", At: at, OOM: true},
		{Name: "without-log", At: at, PID: 10},
	}}}
	targets := []plugin.WatchTarget{
		{Plugin: plugin.Plugin{Name: "p"}, Processes: []plugin.Process{{PID: 6}}},
		{Plugin: plugin.Plugin{Name: "never-ran"}},
	}
	for range 2 { // the second call finds what Follow reports
		if seen := m.Adopt(t.Context(), targets); len(seen) != 2 {
			t.Fatalf("observed %+v", seen)
		}
	}
	reported := 0
	if err := m.Follow(t.Context(), func(plugin.Exit) { reported++ }); err != nil || reported != 6 {
		t.Fatalf("%d exits reported, %v", reported, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`supervisor: 20\S+Z (exited while|cause)`).ReplaceAllString(string(b), "supervisor: NOW $1")
	const want = `hello
--- supervisor: NOW exited while no supervisor was running (pid 6) ---
--- supervisor: 2026-03-01T03:14:28Z exited: exit 3 (pid 7) ---
--- supervisor: 2026-03-01T03:14:28Z exited: cause unknown (pid 9) ---
--- supervisor: NOW cause of an exit before: killed by SIGKILL (pid 9) ---
--- supervisor: 2026-03-01T03:14:28Z exited: out of memory, killed by the kernel ---
`
	if got != want {
		t.Errorf("the log is\n%swant\n%s", got, want)
	}
	if entries, err := os.ReadDir(layout.Logs(root)); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v, want the log of p only", entries, err)
	}
}
