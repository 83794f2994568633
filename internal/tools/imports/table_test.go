package imports_test

import (
	"os"
	"strings"
	"testing"

	"pluginsupervisor/internal/tools/imports"
)

func TestArchitectureHasTheTables(t *testing.T) {
	document, err := os.ReadFile("../../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(document), "\n## Imports\n")
	if !found {
		t.Fatal("ARCHITECTURE.md has no heading Imports")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var tables []string
	for table := range strings.SplitSeq(section, "\n\n") {
		if strings.HasPrefix(table, "| ") {
			tables = append(tables, table)
		}
	}
	if want := strings.TrimSpace(imports.Tables()); strings.Join(tables, "\n\n") != want {
		t.Errorf("the tables of ARCHITECTURE.md, Imports, are not the rules; they should be\n\n%s", want)
	}
}
