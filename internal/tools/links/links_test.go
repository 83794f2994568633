package links

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	root := fstest.MapFS{
		"README.md": {Data: []byte("[a](docs/a.md) [part](docs/a.md#part) [site](https://example.org/x) [gone](docs/b.md)\n" +
			"`actors/a.go` `actors/gone.go` `actors/` `go test ./internal/x`")},
		"docs/a.md":   {Data: []byte("[up](../README.md) [out](../../etc/passwd) [self](#part)")},
		"actors/a.go": {},
	}
	got, err := Check(root, []string{"README.md", "docs/a.md"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"README.md links to docs/b.md, which does not exist",
		"README.md names actors/gone.go, which does not exist",
		"docs/a.md links to ../../etc/passwd, which does not exist",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if _, err := Check(root, []string{"absent.md"}); err == nil {
		t.Error("a document that cannot be read is no error")
	}
}

// TestDocuments checks every Markdown file of the repository.
func TestDocuments(t *testing.T) {
	root := os.DirFS("../../..")
	var documents []string
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == "bin" || d.Name() == "testdata"):
			return fs.SkipDir
		case strings.HasSuffix(name, ".md"):
			documents = append(documents, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(documents) < 10 {
		t.Fatalf("only %d documents found", len(documents))
	}
	faults, err := Check(root, documents)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}
