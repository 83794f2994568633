package imports_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"pluginsupervisor/internal/tools/imports"
	"pluginsupervisor/internal/tools/source"
)

func TestStyle(t *testing.T) {
	for _, fault := range imports.CheckStyle(module(t)) {
		t.Error(fault)
	}
}

func TestCheckStyle(t *testing.T) {
	for name, c := range map[string]struct{ file, text, what string }{
		"500 lines":        {"plugin/a.go", "package a\n" + strings.Repeat("\n", 499), ""},
		"501 lines":        {"plugin/a.go", "package a\n" + strings.Repeat("\n", 500), "has 501 lines"},
		"init":             {"plugin/a.go", "package a\nfunc init() {}\n", "has an init function"},
		"a method init":    {"plugin/a.go", "package a\ntype t int\nfunc (t) init() {}\n", ""},
		"mutex":            {"actors/a.go", "package a\nimport \"sync\"\nvar m sync.Mutex\n", "uses sync.Mutex"},
		"mutex by alias":   {"actors/a.go", "package a\nimport s \"sync\"\ntype t struct{ s.RWMutex }\n", "uses s.RWMutex"},
		"sleep":            {"actors/a.go", "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }\n", "uses time.Sleep"},
		"sleep in a test":  {"actors/a_test.go", "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }\n", ""},
		"mutex in fakes":   {"actors/actorstest/a.go", "package a\nimport \"sync\"\nvar m sync.Mutex\n", ""},
		"mutex elsewhere":  {"internal/a/a.go", "package a\nimport \"sync\"\nvar m sync.Mutex\n", ""},
		"another's Mutex":  {"actors/a.go", "package a\nimport sync \"plugin\"\nvar m sync.Mutex\n", ""},
		"a skip":           {"internal/a/a_test.go", "package a\nfunc f(t *T) {\n\tt.Skipf(\"x\")\n}\n", "uses Skipf on line 3"},
		"a skip by value":  {"internal/a/a_test.go", "package a\nfunc f(t *T) func() { return t.SkipNow }\n", "uses SkipNow on line 2"},
		"no test":          {"internal/a/a.go", "package a\nfunc f(r *Reader) { r.Skip(1) }\n", ""},
		"testenv":          {"internal/a/a_test.go", "package a\nfunc f(t *T) { testenv.SkipWithout(t, testenv.Mount, nil) }\n", ""},
		"once is no mutex": {"actors/a.go", "package a\nimport \"sync\"\nvar o sync.Once\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := source.Load(fstest.MapFS{c.file: {Data: []byte(c.text)}})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if faults := imports.CheckStyle(files); len(faults) > 0 {
				got = faults[0].What
			}
			if got != c.what {
				t.Errorf("got %q, want %q", got, c.what)
			}
		})
	}
}
