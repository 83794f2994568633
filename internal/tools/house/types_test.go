package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestType(t *testing.T) {
	want := `box.Box in box: 4 fields, 2 methods, 9 lines of methods
  field  Size int
  field  Weight int
  field  things []string
  field  Lock
  method Find, 8 lines in box/box.go
  method isEmpty, 1 lines in box/box.go
`
	root := tree(t)
	for name, c := range map[string]struct {
		args   []string
		code   int
		stdout string
		stderr string // is in it
	}{
		"a type":              {[]string{"-type", "box.Box"}, 0, want, ""},
		"no type":             {[]string{"-type", "box.Bag"}, 1, "", "house: no type box.Bag\n"},
		"a folder that fails": {[]string{"-dir", filepath.Join(root, "none")}, 1, "", "house: load the module's files: "},
		"a base that fails":   {[]string{"-base", filepath.Join(root, "none")}, 1, "", "house: load the module's files: "},
		"an unknown flag":     {[]string{"-typ", "x"}, 2, "", "-typ"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(append([]string{"-dir", root}, c.args...), &stdout, &stderr); code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			if diff := cmp.Diff(c.stdout, stdout.String()); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("stderr %q, want %q", stderr.String(), c.stderr)
			}
		})
	}
}
