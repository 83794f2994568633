package imports_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/tools/imports"
	"pluginsupervisor/internal/tools/source"
)

// module is the project itself.
func module(t *testing.T) []source.File {
	t.Helper()
	files, err := source.Load(os.DirFS("../../.."))
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

func TestFloors(t *testing.T) {
	for _, fault := range imports.CheckFloors(module(t)) {
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
		"policy": {
			"actors/policy/a.go",
			"time pluginsupervisor/messages pluginsupervisor/plugin github.com/cenkalti/backoff/v4 golang.org/x/time/rate",
			"",
		},
		"policy has no actors, logs and I/O": {
			"actors/policy/a.go",
			"net/http pluginsupervisor/actors github.com/asynkron/protoactor-go/actor github.com/sirupsen/logrus golang.org/x/time pluginsupervisor/internal/clock",
			"github.com/asynkron/protoactor-go/actor github.com/sirupsen/logrus golang.org/x/time net/http pluginsupervisor/actors pluginsupervisor/internal/clock",
		},
		"actors use policy": {"actors/a.go", "pluginsupervisor/actors/policy", ""},
		"actorstest": {
			"actors/actorstest/a.go", "pluginsupervisor/actors pluginsupervisor/actors/policy github.com/asynkron/protoactor-go/actor testing", "",
		},
		"actorstest is for tests":       {"actors/a.go", "pluginsupervisor/actors/actorstest", "pluginsupervisor/actors/actorstest"},
		"actorstest, in a test":         {"actors/a_test.go", "pluginsupervisor/actors/actorstest", ""},
		"testenv is for tests":          {"internal/native/a.go", "pluginsupervisor/internal/testenv", "pluginsupervisor/internal/testenv"},
		"testenv, in a test":            {"internal/native/a_test.go", "pluginsupervisor/internal/testenv", ""},
		"powerfail, of testenv":         {"internal/powerfail/a.go", "os/exec pluginsupervisor/internal/testenv", ""},
		"supervisor wires":              {"supervisor/a.go", "pluginsupervisor/actors pluginsupervisor/internal/native github.com/spf13/cobra", ""},
		"supervisor knows no engine":    {"supervisor/a.go", "os/exec github.com/asynkron/protoactor-go/actor", "github.com/asynkron/protoactor-go/actor os/exec"},
		"pluginkit":                     {"pluginkit/a.go", "time os/exec pluginsupervisor/plugin golang.org/x/sys/unix", "golang.org/x/sys/unix pluginsupervisor/plugin"},
		"commands use supervisor":       {"cmd/supervisor/a.go", "pluginsupervisor/supervisor", ""},
		"internal never the supervisor": {"internal/native/a.go", "pluginsupervisor/supervisor", "pluginsupervisor/supervisor"},
		"internal": {
			"internal/native/a.go", "pluginsupervisor/internal/process pluginsupervisor/plugin go.etcd.io/bbolt syscall net/http", "",
		},
		"internal knows no policy": {
			"internal/admin/a.go", "pluginsupervisor/actors pluginsupervisor/messages github.com/asynkron/protoactor-go/actor",
			"github.com/asynkron/protoactor-go/actor pluginsupervisor/actors pluginsupervisor/messages",
		},
		"internal tests neither":      {"internal/admin/a_test.go", "pluginsupervisor/actors", "pluginsupervisor/actors"},
		"internal never above":        {"internal/admin/a.go", "pluginsupervisor/cmd/supervisor", "pluginsupervisor/cmd/supervisor"},
		"running programs":            {"internal/process/a.go", "os/exec", ""},
		"running programs, a test":    {"internal/native/a_test.go", "os/exec", ""},
		"running programs, the rest":  {"internal/native/a.go", "os/exec", "os/exec"},
		"a name that begins alike":    {"internal/processes/a.go", "os/exec", "os/exec"},
		"commands":                    {"cmd/supervisor/a.go", "os/exec pluginsupervisor/actors pluginsupervisor/internal/native github.com/spf13/cobra", ""},
		"commands know no engine":     {"cmd/supervisor/a.go", "github.com/asynkron/protoactor-go/actor", "github.com/asynkron/protoactor-go/actor"},
		"samples":                     {"examples/hello/main.go", "pluginsupervisor/pluginkit", ""},
		"samples stand alone":         {"examples/hello/main.go", "pluginsupervisor/plugin", "pluginsupervisor/plugin"},
		"embedding":                   {"examples/embed/main.go", "pluginsupervisor/supervisor pluginsupervisor/plugin github.com/sirupsen/logrus", ""},
		"embedding uses no internals": {"examples/embed/main.go", "pluginsupervisor/internal/config", "pluginsupervisor/internal/config"},
		"test libraries":              {"internal/native/a.go", "github.com/google/go-cmp/cmp", "github.com/google/go-cmp/cmp"},
		"a folder without a rule":     {"util/a.go", "fmt", "fmt"},
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
		"a cycle of parts": {
			map[string]string{
				"internal/a/a.go":     "pluginsupervisor/internal/b/low",
				"internal/b/low/b.go": "fmt",
				"internal/b/b.go":     "pluginsupervisor/internal/c",
				"internal/c/c.go":     "pluginsupervisor/internal/a",
			},
			"internal/c/c.go closes the cycle internal/a → internal/b → internal/c → internal/a",
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
		"a database to decode a record": {
			map[string]string{
				"internal/control/a.go":  "pluginsupervisor/internal/registry",
				"internal/registry/a.go": "go.etcd.io/bbolt",
				"internal/state/a.go":    "go.etcd.io/bbolt",
			},
			"internal/registry/a.go imports go.etcd.io/bbolt for internal/control → internal/registry",
		},
		"SQL for those who embed the supervisor": {
			map[string]string{"supervisor/a.go": "pluginsupervisor/internal/a", "internal/a/a.go": "database/sql"},
			"internal/a/a.go imports database/sql for supervisor → internal/a",
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

// load makes a tree of files that import what stands behind each, blank-separated.
func load(t *testing.T, tree map[string]string) []source.File {
	t.Helper()
	fsys := fstest.MapFS{}
	for file, list := range tree {
		text := "package p\n"
		for imported := range strings.FieldsSeq(list) {
			text += "import _ \"" + imported + "\"\n"
		}
		fsys[file] = &fstest.MapFile{Data: []byte(text)}
	}
	files, err := source.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return files
}
