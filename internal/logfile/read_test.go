package logfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func readAll(t *testing.T, r *Reader) string {
	t.Helper()
	var all strings.Builder
	b := make([]byte, 1000)
	for {
		n, err := r.Read(b)
		all.Write(b[:n])
		if err == io.EOF {
			return all.String()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func appendToFile(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// AP-07: a reader continues where it was after a removal, on every file system. For
// missed bytes it returns the mark.
func TestReaderContinues(t *testing.T) {
	for name, dir := range testFolders(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "log")
			l := Limit{MaxSize: 20_000}
			old := strings.Repeat("the same line\n", 2000)
			appendToFile(t, path, old)
			r, err := OpenReader(path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got := readAll(t, r); got != old {
				t.Fatalf("%d bytes, want %d", len(got), len(old))
			}
			bound := func() {
				t.Helper()
				if _, err := l.Bound(openReadWrite(t, path)); err != nil {
					t.Fatal(err)
				}
			}
			appendToFile(t, path, "new 1\n")
			bound()
			appendToFile(t, path, "new 2\n")
			if got := strings.Replace(readAll(t, r), lossLine[1:], "", 1); got != "new 1\nnew 2\n" || r.Gap() {
				t.Errorf("after a drop: %.200q, gap %v", got, r.Gap())
			}
			appendToFile(t, path, old)
			bound()
			b := make([]byte, 100)
			if n, err := r.Read(b); err != nil || !strings.HasPrefix(string(b[:n]), markBegin) || !r.Gap() {
				t.Errorf("after a gap: %q, %v", b[:n], err)
			}
			readAll(t, r)
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
			appendToFile(t, path, "new 3\n")
			if got := readAll(t, r); got != "new 3\n" {
				t.Errorf("after another program truncated it: %.200q", got)
			}
		})
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if got := Tail(path, 10); got != "" {
		t.Errorf("no file: %q", got)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	appendToFile(t, path, "before ")
	from, err := End(f)
	if err != nil || from != 7 {
		t.Fatalf("%d, %v", from, err)
	}
	appendToFile(t, path, "after")
	for limit, want := range map[int64]string{3: "ter", 100: "after"} {
		if got, err := TailFrom(f, from, limit); err != nil || got != want {
			t.Errorf("%d bytes: %q, %v", limit, got, err)
		}
	}
	if got := Tail(path, 100); got != "before after" {
		t.Errorf("%q", got)
	}
}
