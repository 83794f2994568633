package links

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/tools/source"
)

const example = "# A\n\n<!-- output: one -->\n```\n$ one\nold\n```\n\n```yaml\na: b\n```\n\n    ```\n    indented\n    ```\n"

func TestSetBlock(t *testing.T) {
	got, err := SetBlock(example, "one", "new\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(example, "$ one\nold\n", "new\n", 1); got != want {
		t.Errorf("document is %q, want %q", got, want)
	}
	if _, err := SetBlock(example, "two", "new\n"); err == nil {
		t.Error("a document without the block is no error")
	}
}

func TestUnownedBlocks(t *testing.T) {
	if diff := cmp.Diff([]string{"indented"}, UnownedBlocks(example)); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
	if got := UnownedBlocks("<!-- Written by: go test ./x -->\n" + example); got != nil {
		t.Errorf("a document that a test writes has the blocks %q, want none", got)
	}
}

// TestOutputHasAnOwner finds examples of output that no test keeps true, and
// marks of owners that no test knows.
func TestOutputHasAnOwner(t *testing.T) {
	root := os.DirFS("../../..")
	documents, err := filepath.Glob("../../../docs/*.md")
	if err != nil || len(documents) < 5 {
		t.Fatalf("documents %q, %v", documents, err)
	}
	files, err := source.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	known := func(owner string) bool {
		return slices.ContainsFunc(files, func(f source.File) bool {
			if !f.Test || f.Dir() == "internal/tools/links" {
				return false
			}
			text, err := os.ReadFile("../../../" + f.Path)
			return err == nil && strings.Contains(string(text), `"`+owner+`"`)
		})
	}
	var found []string
	for _, path := range append(documents, "../../../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		document := filepath.Base(path)
		for _, first := range UnownedBlocks(string(text)) {
			found = append(found, document+": "+first)
		}
		for _, b := range parseBlocks(string(text)) {
			if b.owner != "" && !known(b.owner) {
				t.Errorf("%s: no test writes the block %q", document, b.owner)
			}
		}
	}
	for _, block := range found {
		t.Errorf("no test writes the block %q: let one write it below <!-- output: NAME -->, or indent a command without output", block)
	}
}
