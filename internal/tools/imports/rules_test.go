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
		if f.Path == "internal/tools/imports/rules_test.go" {
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
