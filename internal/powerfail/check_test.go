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

// replaceFile replaces a file of a folder, with or without flushes.
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
	return flushPath(dir)
}

func flushPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// verifyText returns a function that checks that the file has the last acknowledged
// text or the next.
func verifyText(texts ...string) func(Image) error {
	return func(i Image) error {
		b, err := os.ReadFile(filepath.Join(i.Path, "f"))
		allowed := texts[i.Acknowledged:min(i.Acknowledged+2, len(texts))]
		if err != nil || !slices.Contains(allowed, string(b)) {
			return fmt.Errorf("file holds %q, %v, want one of %q", b, err, allowed)
		}
		return nil
	}
}

// A replaced file is the old or the new one after each failure only if file and folder
// were flushed.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		flushFile, flushFolder bool
		wrong                  string
	}{
		"both flushed": {true, true, ""},
		"file not":     {false, true, `file holds "", <nil>`},
		"folder not":   {true, false, `file holds "old", <nil>, want one of ["new"]`},
		"neither":      {false, false, "file holds"},
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
			check := &checker{base: imageFolder(t), verify: verifyText("old", "new"), seen: map[key]bool{}, files: contents{}}
			_, wrong := check.checkCuts(r.ops, nil, 100)
			if c.wrong == "" && len(wrong) > 0 || c.wrong != "" && !strings.Contains(fmt.Sprint(wrong), c.wrong) {
				t.Errorf("wrong: %v, want %q", wrong, c.wrong)
			}
		})
	}
}

// Each kind of flush is left out once. A kind without effect is an error unless it is
// listed as redundant.
func TestCheckFlushes(t *testing.T) {
	r := Record(t, func(f Folder) {
		err := errors.Join(os.Mkdir(filepath.Join(f.Path, "other"), 0o700), replaceFile(f.Path, "old", false, false))
		if err != nil {
			t.Fatal(err)
		}
		f.Settle()
		err = errors.Join(os.Mkdir(filepath.Join(f.Path, "other", "x"), 0o700), flushPath(filepath.Join(f.Path, "other")),
			replaceFile(f.Path, "new", true, true))
		if err != nil {
			t.Fatal(err)
		}
		f.Acknowledge()
	})
	flushes := Flushes{}
	r.Check(t, flushes, verifyText("old", "new"))
	for name, c := range map[string]struct {
		redundant map[string]string
		want      []string
	}{
		"one is not listed": {nil, []string{"flush of other after create is not needed"}},
		"it is listed":      {map[string]string{"flush of other after create": "not read"}, nil},
		"others are listed": {
			map[string]string{"flush of other after create": "not read", "flush of . after create, rename": "?", "flush of x after write": "?"},
			[]string{"flush of . after create, rename is needed, but", "flush of x after write is listed as redundant, but does not occur"},
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
