package links

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the functions of the repository that documents show")

// functionText returns the text of a function of a Go file.
func functionText(path, name string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	files := token.NewFileSet()
	syntax, err := parser.ParseFile(files, path, text, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	for _, d := range syntax.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == name {
			return string(text[files.Position(fn.Pos()).Offset:files.Position(fn.End()).Offset]) + "\n", nil
		}
	}
	return "", fmt.Errorf("%s has no function %s", path, name)
}

// TestDocs keeps the functions that documents show true: a block below
// <!-- source: FILE FUNCTION -->.
func TestDocs(t *testing.T) {
	const root = "../../../"
	documents, err := filepath.Glob(root + "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, path := range append(documents, root+"README.md", root+"CONTRIBUTING.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		document := string(text)
		for _, b := range parseBlocks(document) {
			file, function, found := strings.Cut(b.source, " ")
			if !found {
				continue
			}
			shown++
			source, err := functionText(root+file, function)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			document = strings.Replace(document, sourcePrefix+b.source+" -->\n"+fence+b.language+"\n"+b.text, sourcePrefix+b.source+" -->\n"+fence+b.language+"\n"+source, 1)
		}
		if *update {
			if err := os.WriteFile(path, []byte(document), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if diff := cmp.Diff(document, string(text)); diff != "" {
			t.Errorf("%s is stale; make generate writes it (-want +got):\n%s", path, diff)
		}
	}
	if shown == 0 {
		t.Error("no document shows a function")
	}
}
