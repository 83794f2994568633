package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
