package imports_test

import (
	"testing"

	"pluginsupervisor/internal/tools/imports"
)

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
