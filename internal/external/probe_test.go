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

// SC-09, SC-11: the program asks one plugin after the other, and some hang. The
// others are known of in the same scan, and in the next one without waiting for
// the program; when none hangs any more, the program is asked for all again.
func TestProbeBesideHung(t *testing.T) {
	b := newBench(t, `
case "$*" in
--status) test -e "$SUPERVISOR_ROOT/well" || exec sleep 1000
	echo '[{"name":"a","status":"PERSIST_RUNNING","version":"1"},{"name":"h","status":"PERSIST_RUNNING","version":"1"}]' ;;
*h*-p\ --status) test -e "$SUPERVISOR_ROOT/well" || exit 247 ;;
esac
`)
	b.statusTimeout = 300 * time.Millisecond
	var ps []plugin.Plugin
	for _, name := range []string{"a", "h"} {
		ps = append(ps, b.record(record.Record{Name: name, Version: "1", RunPath: "run", Type: plugin.Persist, Timeout: "20"}))
	}
	scan := func() []string {
		t.Helper()
		if _, err := b.List(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := b.probe(ps...)
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
		calls := strings.SplitAfter(b.calls(), "\n")
		slices.Sort(calls)
		slices.Sort(step.calls)
		if d := cmp.Diff(step.calls, calls[1:]); d != "" {
			t.Errorf("%s: %s", step.what, d)
		}
	}
	b.hung.note(plugin.Probe{Plugin: plugin.Plugin{Name: "removed", Type: plugin.Persist}, NoAnswer: true})
	_ = os.Remove(filepath.Join(b.root, "calls"))
	if scan(); b.calls() != all {
		t.Errorf("called %q after a hung plugin was removed", b.calls())
	}
}
