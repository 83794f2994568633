package imports_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/tools/imports"
)

// module is the project itself.
func module(t *testing.T) []imports.File {
	t.Helper()
	files, err := imports.Load(os.DirFS("../../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Path == "internal/tools/imports/imports_test.go" {
			return files
		}
	}
	t.Fatalf("this file is not among the %d of the module", len(files))
	return nil
}

func TestImports(t *testing.T) {
	for _, fault := range imports.Check(module(t)) {
		t.Error(fault)
	}
}

func TestStyle(t *testing.T) {
	for _, fault := range imports.CheckStyle(module(t)) {
		t.Error(fault)
	}
}

// TestCheck holds each rule against an edge it allows and one it forbids.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		file, imports string // blank-separated
		faults        string // imports that are faults, blank-separated
	}{
		"plugin": {
			"plugin/a.go", "time plugin go.uber.org/x pluginsupervisor/messages pluginsupervisor/internal/native",
			"go.uber.org/x pluginsupervisor/internal/native pluginsupervisor/messages",
		},
		"plugin's test":            {"plugin/a_test.go", "pluginsupervisor/plugin pgregory.net/rapid", ""},
		"messages":                 {"messages/a.go", "pluginsupervisor/plugin time github.com/asynkron/protoactor-go/actor", "github.com/asynkron/protoactor-go/actor"},
		"messages look at nothing": {"messages/a.go", "pluginsupervisor/actors", "pluginsupervisor/actors"},
		"actors": {
			"actors/a.go",
			"context pluginsupervisor/messages pluginsupervisor/plugin github.com/asynkron/protoactor-go/actor github.com/cenkalti/backoff/v4 github.com/sirupsen/logrus/hooks/slog",
			"",
		},
		"actors do no work": {
			"actors/a.go",
			"net/http os/exec pluginsupervisor/internal/native syscall github.com/prometheus/client_golang/prometheus",
			"github.com/prometheus/client_golang/prometheus net/http os/exec pluginsupervisor/internal/native syscall",
		},
		"actors' tests": {
			"actors/a_test.go", "testing/synctest github.com/google/go-cmp/cmp pluginsupervisor/internal/state",
			"pluginsupervisor/internal/state",
		},
		"internal": {
			"internal/native/a.go", "pluginsupervisor/internal/process pluginsupervisor/plugin go.etcd.io/bbolt syscall net/http", "",
		},
		"internal knows no policy": {
			"internal/admin/a.go", "pluginsupervisor/actors pluginsupervisor/messages github.com/asynkron/protoactor-go/actor",
			"github.com/asynkron/protoactor-go/actor pluginsupervisor/actors pluginsupervisor/messages",
		},
		"internal tests neither":     {"internal/admin/a_test.go", "pluginsupervisor/actors", "pluginsupervisor/actors"},
		"internal never above":       {"internal/admin/a.go", "pluginsupervisor/cmd/supervisor", "pluginsupervisor/cmd/supervisor"},
		"running programs":           {"internal/process/a.go", "os/exec", ""},
		"running programs, a test":   {"internal/native/a_test.go", "os/exec", ""},
		"running programs, the rest": {"internal/native/a.go", "os/exec", "os/exec"},
		"a name that begins alike":   {"internal/processes/a.go", "os/exec", "os/exec"},
		"commands":                   {"cmd/supervisor/a.go", "os/exec pluginsupervisor/actors pluginsupervisor/internal/native github.com/spf13/cobra", ""},
		"commands know no engine":    {"cmd/supervisor/a.go", "github.com/asynkron/protoactor-go/actor", "github.com/asynkron/protoactor-go/actor"},
		"samples":                    {"examples/hello/main.go", "os/exec pluginsupervisor/examples/internal/contract", ""},
		"samples stand alone":        {"examples/hello/main.go", "pluginsupervisor/plugin", "pluginsupervisor/plugin"},
		"test libraries":             {"internal/native/a.go", "github.com/google/go-cmp/cmp", "github.com/google/go-cmp/cmp"},
		"a folder without a rule":    {"util/a.go", "fmt", "fmt"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, fault := range imports.Check(load(t, map[string]string{c.file: c.imports})) {
				if fault.File != c.file || fault.Why == "" {
					t.Errorf("fault names file %q and rule %q", fault.File, fault.Why)
				}
				got = append(got, strings.TrimPrefix(fault.What, "imports "))
			}
			if diff := cmp.Diff(strings.Fields(c.faults), got); diff != "" && c.faults+strings.Join(got, "") != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckWhole(t *testing.T) {
	for name, c := range map[string]struct {
		tree  map[string]string
		fault string
	}{
		"a circle of parts": {
			map[string]string{
				"internal/a/a.go":     "pluginsupervisor/internal/b/low",
				"internal/b/low/b.go": "fmt",
				"internal/b/b.go":     "pluginsupervisor/internal/c",
				"internal/c/c.go":     "pluginsupervisor/internal/a",
			},
			"internal/c/c.go closes the circle internal/a → internal/b → internal/c → internal/a",
		},
		"tests close no circle": {
			map[string]string{
				"internal/a/a.go":      "pluginsupervisor/internal/b",
				"internal/b/b_test.go": "pluginsupervisor/internal/a",
			},
			"",
		},
		"SQL over a detour": {
			map[string]string{
				"cmd/supervisor/main.go": "pluginsupervisor/internal/a",
				"internal/a/a.go":        "pluginsupervisor/internal/b",
				"internal/b/b.go":        "database/sql",
			},
			"internal/b/b.go imports database/sql for cmd/supervisor → internal/a → internal/b",
		},
		"SQL elsewhere": {
			map[string]string{"cmd/controlplane/main.go": "database/sql", "cmd/supervisor/a_test.go": "database/sql"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if faults := imports.Check(load(t, c.tree)); len(faults) > 0 {
				got = faults[0].File + " " + faults[0].What
			}
			if got != c.fault {
				t.Errorf("got %q, want %q", got, c.fault)
			}
		})
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
		"mutex elsewhere":  {"internal/a/a.go", "package a\nimport \"sync\"\nvar m sync.Mutex\n", ""},
		"another's Mutex":  {"actors/a.go", "package a\nimport sync \"plugin\"\nvar m sync.Mutex\n", ""},
		"once is no mutex": {"actors/a.go", "package a\nimport \"sync\"\nvar o sync.Once\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := imports.Load(fstest.MapFS{c.file: {Data: []byte(c.text)}})
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

// TestLoad: what the go command does not build is not looked at.
func TestLoad(t *testing.T) {
	files := load(t, map[string]string{
		"plugin/a.go": "", "a/testdata/b.go": "", ".hidden/c.go": "", "_old/d.go": "", "vendor/e.go": "",
		"other/f.go": "", "other/go.mod": "", "plugin/deep/g_test.go": "",
	})
	var got []string
	for _, f := range files {
		got = append(got, f.Path)
	}
	if diff := cmp.Diff([]string{"plugin/a.go", "plugin/deep/g_test.go"}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// load makes a tree of files that import what stands behind each, blank-separated.
func load(t *testing.T, tree map[string]string) []imports.File {
	t.Helper()
	fsys := fstest.MapFS{}
	for file, list := range tree {
		text := "package p\n"
		for imported := range strings.FieldsSeq(list) {
			text += "import _ \"" + imported + "\"\n"
		}
		fsys[file] = &fstest.MapFile{Data: []byte(text)}
	}
	files, err := imports.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return files
}
