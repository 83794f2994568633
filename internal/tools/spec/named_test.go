package main

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

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
