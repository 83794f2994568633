package causes_test

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/tools/causes"
)

// F23: every fault that an operator may meet has its cause and cure in
// docs/operations.md.
func TestEveryFaultHasItsCure(t *testing.T) {
	texts, err := causes.FaultTexts(os.DirFS("../../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(texts) < 30 {
		t.Fatalf("only %d texts found: %q", len(texts), texts)
	}
	document, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	missing, err := causes.MissingTexts(string(document), "What a message means", texts)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range missing {
		t.Errorf("docs/operations.md, What a message means: no row begins with %q", text)
	}
}

func TestFaultTexts(t *testing.T) {
	got, err := causes.FaultTexts(fstest.MapFS{
		"a/a.go":                {Data: []byte("package a\nvar ErrA = errors.New(\"a\")\nvar errB = errors.New(\"b\")\nfunc f() { h.addProblem(\"disk\", err); fail(\"no\") }\n")},
		"internal/process/p.go": {Data: []byte("package process\nfunc f() { fail(\"missing\", err); fail(text) }\n")},
		"a/a_test.go":           {Data: []byte("package a\nvar ErrT = errors.New(\"t\")\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "disk", "missing"}, got); diff != "" {
		t.Error(diff)
	}
	missing, err := causes.MissingTexts("# D\n\n## S\n\n| `a` | x |\n\n## T\n| `disk` |\n", "S", got)
	if err != nil || !cmp.Equal(missing, []string{"disk", "missing"}) {
		t.Error(missing, err)
	}
	if _, err := causes.MissingTexts("# D\n", "S", got); err == nil {
		t.Error("a section that is not there is found")
	}
}
