package powerfail

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// replaceFile replaces a file of a folder, with the flushes that are wanted.
func replaceFile(dir, text string, flushFile, flushFolder bool) error {
	path := filepath.Join(dir, "f")
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil && flushFile {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil || !flushFolder {
		return err
	}
	return flush(dir)
}

func flush(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// holdsText verifies that the file has the text that was acknowledged last, or
// the next.
func holdsText(texts ...string) func(Image) error {
	return func(i Image) error {
		b, err := os.ReadFile(filepath.Join(i.Path, "f"))
		allowed := texts[i.Acknowledged:min(i.Acknowledged+2, len(texts))]
		if err != nil || !slices.Contains(allowed, string(b)) {
			return fmt.Errorf("it holds %q, %v, want one of %q", b, err, allowed)
		}
		return nil
	}
}

// A file that is replaced is the old or the new one after each failure if file and
// folder were flushed, and only then.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		flushFile, flushFolder bool
		wrong                  string
	}{
		"both flushed":   {true, true, ""},
		"file not":       {false, true, `it holds "", <nil>`},
		"folder not":     {true, false, `it holds "old", <nil>, want one of ["new"]`},
		"neither of the": {false, false, "it holds"},
	} {
		t.Run(name, func(t *testing.T) {
			r := Record(t, func(f Folder) {
				if err := replaceFile(f.Path, "old", false, false); err != nil {
					t.Fatal(err)
				}
				f.Settle()
				if err := replaceFile(f.Path, "new", c.flushFile, c.flushFolder); err != nil {
					t.Fatal(err)
				}
				f.Acknowledge()
			})
			check := &checker{base: imageFolder(t), verify: holdsText("old", "new"), seen: map[key]bool{}, files: contents{}}
			_, wrong := check.check(r.ops, nil, 100)
			if c.wrong == "" && len(wrong) > 0 || c.wrong != "" && !strings.Contains(fmt.Sprint(wrong), c.wrong) {
				t.Errorf("wrong: %v, want %q", wrong, c.wrong)
			}
		})
	}
}

// Each kind of flush is left out: those that matter are found needed, the others
// not, and are then an error unless they are named.
func TestCheckFlushes(t *testing.T) {
	r := Record(t, func(f Folder) {
		err := errors.Join(os.Mkdir(filepath.Join(f.Path, "other"), 0o700), replaceFile(f.Path, "old", false, false))
		if err != nil {
			t.Fatal(err)
		}
		f.Settle()
		err = errors.Join(os.Mkdir(filepath.Join(f.Path, "other", "x"), 0o700), flush(filepath.Join(f.Path, "other")),
			replaceFile(f.Path, "new", true, true))
		if err != nil {
			t.Fatal(err)
		}
		f.Acknowledge()
	})
	flushes := Flushes{}
	r.Check(t, flushes, holdsText("old", "new"))
	for name, c := range map[string]struct {
		redundant map[string]string
		want      []string
	}{
		"one is not named": {nil, []string{"flush of other after create: without it no test fails"}},
		"it is named":      {map[string]string{"flush of other after create": "not read"}, nil},
		"others are named": {
			map[string]string{"flush of other after create": "not read", "flush of . after create, rename": "?", "flush of x after write": "?"},
			[]string{"flush of . after create, rename is needed, and", "flush of x after write is named redundant, and is not done"},
		},
	} {
		got := &errorsOf{TB: t}
		flushes.CheckNeeded(got, c.redundant)
		same := slices.EqualFunc(got.errors, c.want, strings.HasPrefix)
		if !same {
			t.Errorf("%s: errors %q, want %q", name, got.errors, c.want)
		}
	}
}

// errorsOf keeps the errors of a test.
type errorsOf struct {
	testing.TB
	errors []string
}

func (e *errorsOf) Helper() {}

func (e *errorsOf) Errorf(format string, args ...any) {
	e.errors = append(e.errors, fmt.Sprintf(format, args...))
}
