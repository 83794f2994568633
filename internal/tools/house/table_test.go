package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-dir", tree(t)}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr.String())
	}
	want := `source lines / files                         37 / 2
file median / p90 / max                      27 / 27 / 27
files < 80 lines                             100 %
function median / p90 / p99 / max            6 / 8 / 8 / 8
cyclomatic p90 / p99 / max                   5 / 5 / 5
test : source lines                          0.24
test function median / p90 / p99 / max       4 / 4 / 4 / 4
packages, median lines                       2, 27
exported per package / per 1,000 lines       2.5 / 135.1
exported without doc; packages without doc   2; 1
comment share of source                      16.2 %
one-word function names; mean length         75 %; 4.8
doc "returns/reports" : "tells"/"is what"    1 : 2
source >= 100 lines with a test of its name  0 %
source with a test of its name               50 %
tests without a source of their name         0 %
biggest type: fields / methods / lines       box.Box 4 / 2 / 9
init(); godoc examples                       1; 1
`
	if diff := cmp.Diff(want, stdout.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// TestBase compares two versions of a module.
func TestBase(t *testing.T) {
	now, before := tree(t), tree(t)
	if err := os.Remove(filepath.Join(before, "box", "box_test.go")); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-dir", now, "-base", before}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr.String())
	}
	var found []string
	for line := range strings.Lines(stdout.String()) {
		if strings.Contains(line, "before") || strings.HasPrefix(line, "source with a test") || strings.HasPrefix(line, "init()") {
			found = append(found, strings.Join(strings.Fields(line), " "))
		}
	}
	want := []string{"before now", "source with a test of its name 0 % 50 %", "init(); godoc examples 1; 0 1; 1"}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
