package service

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the keys of docs/plugins.md")

// TestDocs checks the keys of docs/plugins.md against the table, or writes them with
// -update.
func TestDocs(t *testing.T) {
	const page, end = "../../docs/plugins.md", "<!-- end of the keys -->"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), "-update -->\n")
	got, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("docs/plugins.md has no place for the keys")
	}
	unset := Default()
	var want strings.Builder
	want.WriteString("\n| key | | default | allowed |\n|---|---|---|---|\n")
	for _, k := range Keys() {
		text := ""
		switch k.Kind.(type) {
		case Words, Variables:
		default:
			text = k.Kind.Text(k.Field(&unset))
		}
		if text != "" && text != "0" || k.Name == "log.keep" {
			text = "`" + text + "`"
		} else {
			text = ""
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", k.Name, k.Help, text, k.Kind.Allowed())
	}
	want.WriteString("\n")
	if *update {
		if err := os.WriteFile(page, []byte(head+"-update -->\n"+want.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), got); diff != "" {
		t.Errorf("docs/plugins.md is stale; go test ./internal/service -run TestDocs -update writes it (-want +got):\n%s", diff)
	}
}

// TestDocsExample checks that the example of docs/plugins.md is valid.
func TestDocsExample(t *testing.T) {
	b, err := os.ReadFile("../../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "```yaml\n")
	text, _, ok := strings.Cut(rest, "```")
	if _, err := Parse("docs/plugins.md", []byte(text)); err != nil || !ok {
		t.Error(err)
	}
}
