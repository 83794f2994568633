package source_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/tools/source"
)

func TestLoad(t *testing.T) {
	files, err := source.Load(fstest.MapFS{
		"plugin/a.go": {Data: []byte("package a\n\nimport (\n\t\"time\"\n\t\"context\"\n)\n\nvar x = time.Now\n")},
		// What the go command does not build is left out.
		"a/testdata/b.go": {}, ".hidden/c.go": {}, "_old/d.go": {}, "vendor/e.go": {}, "other/f.go": {}, "other/go.mod": {},
		"plugin/deep/g_test.go": {Data: []byte("package deep\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 {
		t.Fatalf("%d files, want 2", len(files))
	}
	a, g := files[0], files[1]
	if diff := cmp.Diff([]string{"context", "time"}, a.Imports); diff != "" {
		t.Errorf("imports (-want +got):\n%s", diff)
	}
	if a.Path != "plugin/a.go" || a.Dir() != "plugin" || a.Test || a.Lines != 8 || a.Line(a.Syntax.Decls[1].Pos()) != 8 {
		t.Errorf("a.go is %+v", a)
	}
	if g.Path != "plugin/deep/g_test.go" || !g.Test || g.Lines != 1 {
		t.Errorf("g_test.go is %+v", g)
	}
}

func TestLoadReportsBadSyntax(t *testing.T) {
	_, err := source.Load(fstest.MapFS{"a/b.go": {Data: []byte("package b\nfunc {\n")}})
	if err == nil || !strings.Contains(err.Error(), "a/b.go:2") {
		t.Errorf("error %v does not name file and line", err)
	}
}
