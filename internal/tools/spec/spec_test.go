package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// The made-up prefixes QA and QB keep this file from counting as a test of a
// real row.
const document = `# Title

## 1. First

| ID | condition | required | |
|---|---|---|---|
| QA-1 | a thing happens | do it | keep |
| QA-10 | ten things happen | do them | fix |

Text that names QA-3 is no row.

## 2. Second

| QB-01 | one\|two | nothing |
`

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

func TestNamedIn(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	got, err := namedIn(fstest.MapFS{
		"a/a_test.go":             file("// QA-10, not its beginning\nt.Run(\"QB-01/empty\", nil)"),
		"a/a.go":                  file("// QA-1 in code that is no test"),
		"b/testdata/s.txtar":      file("# QB-01: and (QB-02)."),
		"b/c_test.go":             file("XQA-1 QA-1x QA_1 qa-1 Test_QA-1"),
		"bin/x_test.go":           file("QA-1"),
		".git/x_test.go":          file("QA-1"),
		"a/_old/x_test.go":        file("QA-1"),
		"deep/bin/ok_test.go":     file("QB-03"),
		"deep/er/testdata/readme": file("QA-1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"QA-10": {"a/a_test.go"},
		"QB-01": {"a/a_test.go", "b/testdata/s.txtar"},
		"QB-02": {"b/testdata/s.txtar"},
		"QB-03": {"deep/bin/ok_test.go"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("named (-want +got):\n%s", diff)
	}
}

func TestRun(t *testing.T) {
	root := t.TempDir()
	write(t, root, "spec.md", document)
	write(t, root, "x_test.go", "package x // QA-10, QB-01, QB-77 and the foreign ZZ-01\n")
	const unknown = "spec: x_test.go names QB-77, which is no row\n"
	openPath := filepath.Join(root, "open.txt")

	for name, c := range map[string]struct {
		require, open string
		code          int
		stderr        string // whole
	}{
		"nothing required":              {"", "", 0, unknown},
		"a row without a test":          {"QA", "", 1, "spec: QA-1 has no test: a thing happens\n" + unknown},
		"a row without a test, of all":  {"all", "", 1, "spec: QA-1 has no test: a thing happens\n" + unknown},
		"a row that is open":            {"QA", "QA-1 later", 0, unknown},
		"a row that does not exist":     {"QB", "", 1, unknown},
		"an unknown prefix":             {"QA,QX", "", 2, "spec: no row has the required prefix \"QX\"\n"},
		"an open row that has a test":   {"", "QA-10 later", 1, unknown + "spec: " + openPath + ", line 1: QA-10 has a test in x_test.go; delete the line\n"},
		"an open row that is no row":    {"", "QA-2 later", 1, unknown + "spec: " + openPath + ", line 1: QA-2 is no row\n"},
		"an open row without its words": {"", "QA-1", 2, "spec: read " + openPath + ": line 1: \"QA-1\" is not an ID and a reason\n"},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, root, "open.txt", c.open)
			var stdout, stderr bytes.Buffer
			code := run([]string{"-doc", filepath.Join(root, "spec.md"), "-open", openPath, "-root", root, "-require", c.require}, &stdout, &stderr)
			if code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			if diff := cmp.Diff(c.stderr, stderr.String()); diff != "" {
				t.Errorf("stderr (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReport(t *testing.T) {
	rows, err := parseRows(strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	named := map[string][]string{"QA-10": {"a_test.go", "b_test.go"}, "QB-01": {"c.txtar"}}
	printRows(&out, rows, named, map[string]string{"QA-1": "a reason that is a little longer than forty letters"})
	printSummary(&out, rows, named)
	want := `
1. First
  QA-1   open: a reason that is a little longer than f…  a thing happens
  QA-10  a_test.go +1                                    ten things happen

2. Second
  QB-01  c.txtar  one\|two

       rows  tested  open
   QA     2       1     1
   QB     1       1     0
  all     3       2     1
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
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

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
