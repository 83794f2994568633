package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	got, err := parseRows(strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	want := []row{
		{"QA-1", "1. First", "a thing happens"},
		{"QA-10", "1. First", "ten things happen"},
		{"QB-01", "2. Second", `one\|two`},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ doc, want string }{
		"an ID that exists twice": {"| QA-1 | a | b |\n| QA-1 | c | d |\n", "line 2: QA-1 is on line 1 already"},
		"a document without rows": {"# nothing\n", "no rows"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseRows(strings.NewReader(c.doc)); err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// TestDocument guards the real specification: it can be read, and every row
// says when it applies.
func TestDocument(t *testing.T) {
	rows, err := readRows("../../../docs/spec.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.condition == "" || r.section == "" {
			t.Errorf("%s: condition %q under section %q", r.id, r.condition, r.section)
		}
	}
}
