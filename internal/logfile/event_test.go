package logfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// AP-07: an event is a line of its own, whatever the plugin prints, and loses nothing
// of it.
func TestMarkEvent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	at := time.Date(2026, 3, 1, 3, 14, 28, 0, time.FixedZone("", 3600))
	const mark = "--- supervisor: 2026-03-01T02:14:28Z exited: exit 3 (pid 7) ---\n"
	for name, c := range map[string]struct{ before, want string }{
		"empty":          {"", mark},
		"whole lines":    {"a\nb\n", "a\nb\n" + mark},
		"half a line":    {"a\nb", "a\nb\n" + mark},
		"binary":         {"\x00\xff\r\x00", "\x00\xff\r\x00\n" + mark},
		"an event":       {mark, mark + mark},
		"a line of loss": {lossLine[1:], lossLine[1:] + mark},
	} {
		if err := os.WriteFile(path, []byte(c.before), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := MarkEvent(path, at, "exited: exit 3 (pid 7)"); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != c.want {
			t.Errorf("%s: %q, %v, want %q", name, b, err, c.want)
		}
	}
	for _, other := range []string{path + ".none", filepath.Dir(path), os.DevNull} {
		if err := MarkEvent(other, at, "x"); err == nil {
			t.Errorf("%s was marked, want an error", other)
		}
	}
	if err := MarkEvent(path+".none", at, "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no log: %v", err)
	}
}

// Events are not taken for the number of removed bytes, and survive a removal.
func TestBoundKeepsEvents(t *testing.T) {
	for name, dir := range testFolders(t) {
		path := filepath.Join(dir, "events")
		var all strings.Builder
		if err := os.WriteFile(path, nil, 0o640); err != nil {
			t.Fatal(err)
		}
		for n := range 40 {
			if err := MarkEvent(path, time.Unix(int64(n), 0), "--start of 1.0"); err != nil {
				t.Fatal(err)
			}
			output := strings.Repeat("x", 999) + "\n"
			appendToFile(t, path, output)
			all.WriteString(output)
		}
		if m, err := readMark(openReadWrite(t, path)); err != nil || m != (mark{}) {
			t.Errorf("%s: an event is read as %+v, %v", name, m, err)
		}
		if _, err := (Limit{MaxSize: 16 << 10}).Bound(openReadWrite(t, path)); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := readMark(openReadWrite(t, path)); err != nil || m.dropped == 0 {
			t.Errorf("%s: nothing was dropped: %+v, %v", name, m, err)
		}
		lines := strings.Split(strings.TrimSpace(strings.TrimSuffix(string(b), lossLine[1:])), "\n")
		if last := lines[len(lines)-2]; !isEvent(last) || !strings.Contains(last, "T00:00:39Z --start of 1.0") {
			t.Errorf("%s: the last event is %q", name, last)
		}
	}
}

func TestTailBehindEvent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	const mark = "--- supervisor: 2026-03-01T02:14:28Z --start of 1.0 ---\n"
	for text, want := range map[string]string{
		"":                                  "",
		"a\nb\n":                            "a\nb\n",
		"a\n" + mark:                        "",
		"a\n" + mark + "b\nc":               "b\nc",
		mark + "a\n" + mark + "b\n":         "b\n",
		"a\n" + strings.TrimSpace(mark):     "a\n" + strings.TrimSpace(mark), // not a whole line
		"a " + mark + "b\n":                 "a " + mark + "b\n",             // not at the beginning of a line
		"a\n" + lossLine[1:] + "b\n":        "a\n" + lossLine[1:] + "b\n",
		mark + "a\n--- supervisor: x ---\n": "a\n--- supervisor: x ---\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		if got := Tail(path, 1000); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
