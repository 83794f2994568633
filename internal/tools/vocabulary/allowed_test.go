package vocabulary

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompare(t *testing.T) {
	told := func(path string, line int) Fault { return Fault{path, line, "word", "told", "say reported"} }
	allowed, err := ParseAllowed("# head\n\n2 a word told\n1 README.md word what holds\n1 a doc Gone\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		faults       []Fault
		found, stale []string
		left         string
	}{
		"as allowed": {
			[]Fault{told("a/b.go", 2), told("a/a.go", 1), {"README.md", 3, "word", "what holds", ""}, {"a/a.go", 5, "doc", "Gone", ""}},
			nil, nil, "1 README.md word what holds\n1 a doc Gone\n2 a word told\n",
		},
		"one more": {
			[]Fault{told("a/b.go", 2), told("a/a.go", 9), told("a/a.go", 1), {"README.md", 3, "word", "what holds", ""}, {"a/a.go", 5, "doc", "Gone", ""}},
			[]string{`a/a.go:1: word "told": say reported`, `a/a.go:9: word "told": say reported`, `a/b.go:2: word "told": say reported`},
			nil, "1 README.md word what holds\n1 a doc Gone\n2 a word told\n",
		},
		"less": {
			[]Fault{told("a/b.go", 2), {"README.md", 3, "word", "what holds", ""}},
			nil,
			[]string{"allows 1 × a doc Gone, there are 0", "allows 2 × a word told, there are 1"},
			"1 README.md word what holds\n1 a word told\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			found, stale, shrunk := Compare(c.faults, allowed)
			if diff := cmp.Diff(c.found, places(found)); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.stale, stale); diff != "" {
				t.Errorf("stale (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(allowedHead+c.left, shrunk.String()); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
			if again, err := ParseAllowed(shrunk.String()); err != nil || !cmp.Equal(again, shrunk) {
				t.Errorf("read again it is %v, %v", again, err)
			}
		})
	}
}

func TestParseAllowedReportsBadLines(t *testing.T) {
	for _, text := range []string{"a word told", "0 a word told", "1 a word", "1 a word told\n1 a word told"} {
		if got, err := ParseAllowed(text); err == nil {
			t.Errorf("%q is read as %v, want an error", text, got)
		}
	}
}
