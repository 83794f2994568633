package external

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// SC-09, SC-11: the program checks one plugin after the other, and one hangs. The
// status of the others is known in the same scan, and in the next one without waiting
// for the program. Once none hangs, the program checks all again.
func TestProbeWithHungPlugin(t *testing.T) {
	b := newFixture(t, `
case "$*" in
--status) test -e "$SUPERVISOR_ROOT/well" || exec sleep 1000
	echo '[{"name":"a","status":"PERSIST_RUNNING","version":"1"},{"name":"h","status":"PERSIST_RUNNING","version":"1"}]' ;;
*h*-p\ --status) test -e "$SUPERVISOR_ROOT/well" || exit 247 ;;
esac
`)
	b.statusTimeout = 300 * time.Millisecond
	var ps []plugin.Plugin
	for _, name := range []string{"a", "h"} {
		ps = append(ps, b.putRecord(record.Record{Name: name, Version: "1", RunPath: "run", Type: plugin.Persist, Timeout: "20"}))
	}
	scan := func() []string {
		t.Helper()
		if _, err := b.List(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := b.probeAll(ps...)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		return got
	}
	beside := []string{"a 1 running", "h 1 failed no answer in 20s"}
	well := []string{"a 1 running", "h 1 running"}
	const all, one, hung = "--status\n", "-e --local -P a -p --status\n", "-e --local -P h -p --status\n"
	for _, step := range []struct {
		what  string
		well  bool
		want  []string
		calls []string
	}{
		{"the first scan", false, beside, []string{all, one, hung}},
		{"the next scan", false, beside, []string{one, hung}},
		{"it answers again", true, well, []string{one, hung}},
		{"the scan after that", true, well, []string{all}},
	} {
		if step.well {
			if err := os.WriteFile(filepath.Join(b.root, "well"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		_ = os.Remove(filepath.Join(b.root, "calls"))
		if d := cmp.Diff(step.want, scan()); d != "" {
			t.Errorf("%s: %s", step.what, d)
		}
		calls := strings.SplitAfter(b.readCalls(), "\n")
		slices.Sort(calls)
		slices.Sort(step.calls)
		if d := cmp.Diff(step.calls, calls[1:]); d != "" {
			t.Errorf("%s: %s", step.what, d)
		}
	}
	b.hung.update(plugin.Probe{Plugin: plugin.Plugin{Name: "removed", Type: plugin.Persist}, NoAnswer: true})
	_ = os.Remove(filepath.Join(b.root, "calls"))
	if scan(); b.readCalls() != all {
		t.Errorf("called %q after a hung plugin was removed", b.readCalls())
	}
}
