package vocabulary_test

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/tools/vocabulary"
)

func TestArchitectureNamesEveryMessage(t *testing.T) {
	messages, err := vocabulary.Structs(os.DirFS("../../../messages"))
	if err != nil {
		t.Fatal(err)
	}
	if len(messages) == 0 {
		t.Fatal("no messages found: is the folder still messages/?")
	}
	document, err := os.ReadFile("../../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	table, err := vocabulary.Table(string(document))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(messages, table); diff != "" {
		t.Errorf("ARCHITECTURE.md, Messages: - is a message the table lacks, + is in the table twice or no message:\n%s", diff)
	}
}

func TestStructs(t *testing.T) {
	got, err := vocabulary.Structs(fstest.MapFS{
		"a.go":       {Data: []byte("package m\ntype (\n\tScan struct{ Gen uint64 }\n\tKind uint8\n\thidden struct{}\n)\n")},
		"b.go":       {Data: []byte("package m\ntype Due struct{}\ntype Sealed interface{}\n")},
		"a_test.go":  {Data: []byte("package m\ntype InTest struct{}\n")},
		"sub/sub.go": {Data: []byte("package sub\ntype Below struct{}\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Due", "Scan"}, got); diff != "" {
		t.Errorf("structs (-want +got):\n%s", diff)
	}
}

func TestTable(t *testing.T) {
	got, err := vocabulary.Table("# A\n\n## Folders\n\n| `Not` | this |\n\n## Messages\n\n`Nor` this.\n\n" +
		"| message | meaning |\n|---|---|\n| `ScanDue PullDue` | a `Period` ended |\n| `Scan` / `ScanCompleted` | |\n\n" +
		"| `Later` | a second table |\n\n## Next\n\n| `Nor` | that |\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Later", "PullDue", "Scan", "ScanCompleted", "ScanDue"}, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if _, err := vocabulary.Table("# A\n\n### Messages\n"); err == nil {
		t.Error("a document without the heading is no error")
	}
}
