package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample is a module in which a package ends in every way there is.
var sample = map[string]string{
	"go.mod": "module m\n\ngo 1.26\n",
	"bad/bad_test.go": `package bad

import "testing"

func TestTable(t *testing.T) {
	t.Log("said by the table")
	t.Run("wrong", func(t *testing.T) { t.Error("said by wrong") })
	t.Run("right", func(t *testing.T) { t.Log("said by right") })
}

func TestFine(t *testing.T) { t.Log("said by fine") }

func TestOwnFault(t *testing.T) {
	t.Run("right", func(t *testing.T) {})
	t.Error("said by own fault")
}
`,
	"empty/empty.go": "package empty\n",
	"exits/exits_test.go": `package exits

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	m.Run()
	fmt.Println("said by main")
	os.Exit(3)
}

func TestFine(t *testing.T) { t.Log("said before") }
`,
	"nobuild/nobuild_test.go": `package nobuild

func broken() { undefined() }
`,
	"ok/ok_test.go": `package ok

import "testing"

func TestTable(t *testing.T) {
	t.Run("one", func(t *testing.T) { t.Log("quiet") })
	t.Run("two/deep", func(t *testing.T) { t.Run("leaf", func(t *testing.T) {}) })
	t.Run("three", func(t *testing.T) { t.Skip("not here") })
}
`,
	"panics/panics_test.go": `package panics

import "testing"

func TestFine(t *testing.T) {}

func TestPanic(t *testing.T) { panic("said by panic") }
`,
	"dies/dies_test.go": `package dies

import (
	"syscall"
	"testing"
)

func TestKilled(t *testing.T) {
	t.Log("said before death")
	syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {}
}
`,
}

func TestRun(t *testing.T) {
	root := t.TempDir()
	for name, text := range sample {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOFLAGS", "") // the caller's flags are not meant for the sample

	for pkg, c := range map[string]struct {
		code int
		sum  string   // the last line
		says []string // in this order
		not  []string
	}{
		"ok": {0, "2 passed, 0 failed, 1 skipped", []string{"ok  \tm/ok"}, []string{"quiet", "=== RUN", "PASS"}},
		"bad": {
			1, "3 passed, 2 failed",
			[]string{"said by the table", "said by wrong", "--- FAIL: TestTable/wrong", "said by own fault", "FAIL\tm/bad"},
			[]string{"said by right", "said by fine", "=== RUN"},
		},
		"empty":   {0, "0 passed, 0 failed", []string{"?   \tm/empty\t[no test files]"}, nil},
		"exits":   {1, "1 passed, 1 failed", []string{"said before", "said by main", "FAIL\tm/exits"}, nil},
		"nobuild": {1, "0 passed, 1 failed", []string{"undefined: undefined", "FAIL\tm/nobuild [build failed]"}, nil},
		"panics":  {1, "1 passed, 1 failed", []string{"panic: said by panic", "goroutine ", "FAIL\tm/panics"}, nil},
		"dies":    {1, "0 passed, 1 failed", []string{"signal: killed", "FAIL\tm/dies"}, nil},
		"missing": {1, "0 passed, 1 failed", []string{"directory not found", "[setup failed]"}, nil},
		"...":     {1, "7 passed, 6 failed, 1 skipped", []string{"FAIL\tm/bad", "ok  \tm/ok"}, []string{"quiet"}},
	} {
		t.Run(pkg, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			if code := run([]string{"./" + pkg}, root, &stdout, &stderr); code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			out := strings.TrimSuffix(stdout.String(), "\n")
			if last := out[strings.LastIndexByte(out, '\n')+1:]; last != c.sum {
				t.Errorf("sum %q, want %q", last, c.sum)
			}
			rest := out
			for _, s := range c.says {
				i := strings.Index(rest, s)
				if i < 0 {
					t.Errorf("no %q in order in\n%s%s", s, out, stderr.String())
					continue
				}
				rest = rest[i+len(s):]
			}
			for _, s := range c.not {
				if strings.Contains(out, s) {
					t.Errorf("%q in\n%s", s, out)
				}
			}
		})
	}
}

func TestBadArguments(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-timeout=soon"}, ".", &stdout, &stderr); code != 2 {
		t.Errorf("exit %d, want go test's 2", code)
	}
	if !strings.Contains(stderr.String(), "-timeout") {
		t.Errorf("stderr does not name the flag: %s", stderr.String())
	}
	if diff := cmp.Diff("\n0 passed, 1 failed\n", stdout.String()); diff != "" {
		t.Errorf("stdout (-want +got):\n%s", diff)
	}
}

// TestCutShort: go test itself dies in the middle. The package that ran is
// failed, the lines that are no events are kept.
func TestCutShort(t *testing.T) {
	var out bytes.Buffer
	s := newSummary(&out)
	err := s.read(strings.NewReader(`go: a line of its own
{"Action":"start","Package":"m/a"}
{"Action":"run","Package":"m/a","Test":"TestA"}
{"Action":"output","Package":"m/a","Test":"TestA","Output":"half a word"}
{"Action":"output","Package":"m/a"`))
	if err != nil {
		t.Fatal(err)
	}
	s.close(1)
	want := regexp.MustCompile(`(?s)^go: a line of its own\n.*half a word.*\n0 passed, 1 failed\n$`)
	if !want.MatchString(out.String()) {
		t.Errorf("got\n%s", out.String())
	}
}
