package external

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

func TestRemove(t *testing.T) {
	const (
		gone    = `{"name":"p","version":"1.0","runPath":"run","pluginType":1,"isRemoved":true,"addSysTag":true}`
		removed = "--remove -P p\n"
		checked = "-e --local -P p -p --status\n"
	)
	for name, tt := range map[string]struct {
		installed bool
		put, exit string
		want      plugin.ChangeResult
		cause     string
		calls     string
	}{
		"CL-10 removed": {
			installed: true, put: gone, calls: removed,
			want: plugin.ChangeResult{Status: plugin.StatusRemoved, SysTag: plugin.SysTagRemove, Plugin: plugin.Plugin{Removed: true}},
		},
		"CL-10 files stay": {
			installed: true, put: gone, exit: "exit 245", calls: removed,
			want: plugin.ChangeResult{
				Status: plugin.StatusRemoved, SysTag: plugin.SysTagRemove, Plugin: plugin.Plugin{Removed: true},
				Outcome: plugin.Outcome{ExitCode: 245}, Note: "exit 245: files cannot be removed",
			},
		},
		"CL-10 a veto": {
			installed: true, exit: `test "$1" != --remove || exit 9`, calls: removed + checked,
			want:  plugin.ChangeResult{Status: plugin.StatusRunning, Outcome: plugin.Outcome{ExitCode: 9}},
			cause: "exit 9",
		},
		"exit 0 and nothing done": {
			installed: true, calls: removed + checked,
			want: plugin.ChangeResult{Status: plugin.StatusRunning}, cause: "plugin manager exited 0, but the plugin is still recorded",
		},
		"CL-10 not installed": {want: plugin.ChangeResult{Outcome: plugin.Outcome{ExitCode: -1}}, cause: "remove p: no such plugin"},
	} {
		t.Run(name, func(t *testing.T) {
			script := tt.exit
			if tt.put != "" {
				script = putCommand(t, tt.put) + tt.exit
			}
			b := newFixture(t, script)
			if tt.installed {
				p := b.putRecord(record.Record{Name: "p", Version: "1.0", RunPath: "run", Type: plugin.Persist, AddSysTag: true})
				p.Removed = tt.want.Plugin.Removed
				tt.want.Plugin, tt.want.Previous = p, p.Version
			}
			tt.want.Verb = plugin.VerbUninstall
			got := b.Change(t.Context(), plugin.Change{Name: "p", Kind: plugin.ChangeRemove}, plugin.ChangePermit{})
			if d := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(plugin.Outcome{}, "Err")); d != "" || got.Cause() != tt.cause {
				t.Errorf("cause %q, want %q\n%s", got.Cause(), tt.cause, d)
			}
			if b.readCalls() != tt.calls {
				t.Errorf("called with %q, want %q", b.readCalls(), tt.calls)
			}
		})
	}
}

// SPEC 11: a change that the program does not support fails before it begins.
func TestUnsupported(t *testing.T) {
	b := newFixture(t, "")
	rollback := plugin.Change{Name: "p", Kind: plugin.ChangeRollback}
	for what, err := range map[string]error{
		"asked": b.Unsupported(rollback), "fetched": b.Fetch(t.Context(), rollback), "changed": b.Change(t.Context(), rollback, plugin.ChangePermit{}).Err,
	} {
		if err == nil || !strings.Contains(err.Error(), "cannot roll back: name the version to go back to, as in `supervisor upgrade p@VERSION`") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, kind := range []plugin.ChangeKind{plugin.ChangeUpgrade, plugin.ChangeInstall, plugin.ChangeRemove} {
		if err := b.Unsupported(plugin.Change{Name: "p", Kind: kind}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if b.readCalls() != "" {
		t.Errorf("called %q", b.readCalls())
	}
}
