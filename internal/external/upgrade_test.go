package external

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// envPut holds a record that this test binary writes into the database of
// SUPERVISOR_ROOT, for a program that pretends to upgrade.
const envPut = "EXTERNAL_TEST_PUT"

func TestMain(m *testing.M) {
	text := os.Getenv(envPut)
	if text == "" {
		os.Exit(m.Run())
	}
	r, err := record.Decode([]byte(text))
	if err == nil {
		_, err = registry.New(registry.Options{Root: os.Getenv("SUPERVISOR_ROOT")}).Put(context.Background(), r)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(99)
	}
}

// putCommand returns the line of a script that writes the record.
func putCommand(t *testing.T, record string) string {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s='%s' '%s' || exit 98\n", envPut, record, exe)
}

func TestUpgrade(t *testing.T) {
	const (
		next   = `{"name":"p","version":"2.0","runPath":"run","pluginType":1,"timeout":"20"}`
		tagged = `{"name":"p","version":"2.0","runPath":"run","pluginType":1,"addSysTag":true}`
		once   = `{"name":"p","version":"2.0","runPath":"run","pluginType":0}`
	)
	old := record.Record{Name: "p", Version: "1.0", RunPath: "run", Type: plugin.Persist, Timeout: "20"}
	oldTagged := old
	oldTagged.AddSysTag = true
	const upgraded, checked = "--exec -P p -n 2.0 -p --upgrade\n", "-e --local -P p -p --status\n"
	ok := plugin.Outcome{Verb: plugin.VerbUpgrade}
	tests := map[string]struct {
		old     record.Record
		put     string
		upgrade string // script of an upgrade
		status  string // script of `--status`
		outcome plugin.Outcome
		cause   string
		result  plugin.Status
		tag     plugin.SysTag
		version string
		calls   string
	}{
		"UP-06 upgraded": {
			old: old, put: next, outcome: ok, result: plugin.StatusRunning, version: "2.0", calls: upgraded + checked,
		},
		"UP-08 not installed": {
			put: next, outcome: ok, result: plugin.StatusRunning, version: "2.0", calls: upgraded + checked,
		},
		"UP-06 does not run": {
			old: old, put: next, status: "exit 3", outcome: ok, result: plugin.StatusFailed, version: "2.0", calls: upgraded + checked,
		},
		"UP-06 verb fails": {
			old: old, put: next, upgrade: "exit 9", outcome: plugin.Outcome{Verb: plugin.VerbUpgrade, ExitCode: 9}, cause: "exit 9",
			result: plugin.StatusRunning, version: "2.0", calls: upgraded + checked,
		},
		"UP-06 out of time": {
			old: old, put: next, upgrade: "exit 247", outcome: plugin.Outcome{Verb: plugin.VerbUpgrade, ExitCode: 247, TimedOut: true},
			cause: "exit 247: plugin did not exit in time", result: plugin.StatusRunning, version: "2.0", calls: upgraded + checked,
		},
		"cannot be fetched": {
			old: oldTagged, upgrade: "exit 240", outcome: plugin.Outcome{Verb: plugin.VerbUpgrade, ExitCode: 240},
			cause: "exit 240: package cannot be downloaded", result: plugin.StatusRunning, version: "1.0", calls: upgraded + checked,
		},
		"exit 0 and nothing done": {
			old: old, outcome: ok, cause: "plugin manager exited 0, but version 1.0 is recorded",
			result: plugin.StatusRunning, version: "1.0", calls: upgraded + checked,
		},
		"exit 0 and nothing there": {
			outcome: ok, cause: "plugin manager exited 0, but no version is recorded", calls: upgraded,
		},
		"tag added": {
			old: old, put: tagged, outcome: ok, result: plugin.StatusRunning, tag: plugin.SysTagAdd, version: "2.0", calls: upgraded + checked,
		},
		"tag removed": {
			old: oldTagged, put: next, outcome: ok, result: plugin.StatusRunning, tag: plugin.SysTagRemove, version: "2.0", calls: upgraded + checked,
		},
		"no daemon any more": {
			old: old, put: once, outcome: ok, result: plugin.StatusInstalled, version: "2.0", calls: upgraded,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			script := `case "$1" in -e) ` + tt.status + "\nexit ;; esac\n"
			if tt.put != "" {
				script += putCommand(t, tt.put)
			}
			b := newFixture(t, script+tt.upgrade)
			if tt.old.Name != "" {
				b.putRecord(tt.old)
			}
			got := b.Change(t.Context(), plugin.Change{Name: "p", Version: "2.0", Timeout: time.Minute}, plugin.ChangePermit{})
			if got.Cause() != tt.cause {
				t.Errorf("cause %q, want %q", got.Cause(), tt.cause)
			}
			want := plugin.ChangeResult{Outcome: tt.outcome, Previous: tt.old.Version, Status: tt.result, SysTag: tt.tag}
			if r, found, _ := b.registry.Find(t.Context(), "p"); found {
				want.Plugin = r.Plugin()
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(plugin.Outcome{}, "Err")); diff != "" || got.Plugin.Version != tt.version {
				t.Errorf("recorded %q\n%s", got.Plugin.Version, diff)
			}
			if diff := cmp.Diff(tt.calls, b.readCalls()); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, o := range map[string]plugin.Change{
		"ST-15 name":    {Name: "..", Version: "2.0"},
		"ST-15 version": {Name: "p", Version: "-/"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t, "")
			if got := b.Change(t.Context(), o, plugin.ChangePermit{}); got.Err == nil || b.readCalls() != "" {
				t.Errorf("got %+v after %q", got, b.readCalls())
			}
		})
	}
}
