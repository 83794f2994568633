package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseOpen(t *testing.T) {
	got, err := parseOpen(strings.NewReader("# a heading\n\nQA-1  area: what is missing\n  QB-01\treason # whole\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []openRow{{"QA-1", "area: what is missing", 3}, {"QB-01", "reason # whole", 4}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(openRow{})); diff != "" {
		t.Errorf("open rows (-want +got):\n%s", diff)
	}
}

func TestParseOpenRejects(t *testing.T) {
	for name, c := range map[string]struct{ list, want string }{
		"an ID twice":         {"QA-1 a\nQA-1 b\n", "line 2: QA-1 is on line 1 already"},
		"an ID alone":         {"QA-1\n", `line 1: "QA-1" is not an ID and a reason`},
		"a line without ID":   {"\nlater\n", `line 2: "later" is not an ID and a reason`},
		"two IDs in one word": {"QA-1,QA-2 a\n", `line 1: "QA-1,QA-2 a" is not an ID and a reason`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseOpen(strings.NewReader(c.list)); err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestCheckOpen(t *testing.T) {
	rows := []row{{id: "QA-1"}, {id: "QA-10"}}
	named := map[string][]string{"QA-10": {"a_test.go", "b_test.go"}}
	got := checkOpen([]openRow{{"QA-1", "a", 1}, {"QA-10", "b", 2}, {"QC-1", "c", 5}}, rows, named)
	want := []string{"line 2: QA-10 has a test in a_test.go; delete the line", "line 5: QC-1 is no row"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}
