package plugincheck

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the rules into docs/plugins.md")

// AP-11: the table of docs/plugins.md holds the rules that are checked.
func TestDocs(t *testing.T) {
	const page, begin, end = "../../docs/plugins.md", "<!-- rules of plugin check, written by: go test ./internal/plugincheck -run TestDocs -update -->\n", "<!-- end of the rules -->"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), begin)
	got, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("docs/plugins.md has no place for the rules")
	}
	var want strings.Builder
	want.WriteString("\n| rule | passes when |\n|---|---|\n")
	for _, rule := range Rules() {
		fmt.Fprintf(&want, "| `%s` | %s |\n", rule.ID, rule.Title)
	}
	want.WriteString("\n")
	if *update {
		if err := os.WriteFile(page, []byte(head+begin+want.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), got); diff != "" {
		t.Errorf("docs/plugins.md is stale; go test ./internal/plugincheck -run TestDocs -update writes it (-want +got):\n%s", diff)
	}
}
