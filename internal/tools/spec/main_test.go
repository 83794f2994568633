package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

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

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
