package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	const results = `{"Action":"output","Package":"pluginsupervisor/plugin","Test":"TestA","Output":"    a_test.go:7: needs root\n"}
{"Action":"skip","Package":"pluginsupervisor/plugin","Test":"TestA"}
{"Action":"pass","Package":"pluginsupervisor/plugin","Test":"TestB"}
`
	for name, c := range map[string]struct {
		list, results  string
		code           int
		stdout, stderr string
	}{
		"listed":               {"# why\n./plugin TestA # needs root\n", results, 0, "1 tests skipped\n  ./plugin TestA: a_test.go:7: needs root\n", ""},
		"not listed":           {"", results, 1, "1 tests skipped\n  ./plugin TestA: a_test.go:7: needs root\n", "./plugin TestA was skipped and is not in "},
		"listed, and runs":     {"./plugin TestA\n./plugin TestB\n", results, 0, "1 tests skipped\n", ""},
		"does not exist":       {"./plugin TestA\n./plugin TestGone\n", results, 1, "1 tests skipped\n", "./plugin TestGone is in "},
		"of another package":   {"./plugin TestA\n./cmd TestC\n", results, 0, "1 tests skipped\n", ""},
		"a list without order": {"./plugin\n", results, 1, "", "line 1: want a package and a test"},
		"no results":           {"", "", 1, "", "it has no finished test"},
		"damaged results":      {"", "{", 1, "", "event of go test"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			list, file := filepath.Join(dir, "list"), filepath.Join(dir, "results")
			for path, content := range map[string]string{list: c.list, file: c.results} {
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var stdout, stderr strings.Builder
			code := run([]string{"-list", list, file}, &stdout, &stderr)
			if code != c.code || !strings.HasPrefix(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("exit %d, %q, %q", code, stdout.String(), stderr.String())
			}
		})
	}
}

func TestRunRefusesBadArguments(t *testing.T) {
	var stdout, stderr strings.Builder
	if code := run(nil, &stdout, &stderr); code != 2 || !strings.Contains(stderr.String(), "usage: skips") {
		t.Errorf("exit %d, %q", code, stderr.String())
	}
	if code := run([]string{filepath.Join(t.TempDir(), "absent")}, &stdout, &stderr); code != 1 {
		t.Errorf("a file that does not exist: exit %d", code)
	}
}
