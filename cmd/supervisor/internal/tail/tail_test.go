package tail

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/logfile"
)

func appendText(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := ReadLines(path, 0, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	for _, c := range []struct {
		text string
		n    int
		want []string
	}{
		{"", 0, nil},
		{"a\nb\nc\n", 0, []string{"a", "b", "c"}},
		{"a\nb\nc\n", 2, []string{"b", "c"}},
		{"a\nb\nc", 2, []string{"b", "c"}}, // the last line has no line break
		{"\n\n", 5, []string{"", ""}},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var got []string
		err := ReadLines(path, c.n, func(line string) error {
			got = append(got, line)
			return nil
		})
		if err != nil || !cmp.Equal(c.want, got) {
			t.Errorf("%q, %d lines: %q, %v", c.text, c.n, got, err)
		}
	}
}

func TestNotAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ReadLines(path, 0, nil); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a pipe: %v", err)
	}
}

// startFollowing follows a file; next checks the next lines.
func startFollowing(t *testing.T, path string, n int) (next func(want ...string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	lines, result := make(chan string, 1000), make(chan error, 1)
	go func() {
		result <- Follow(ctx, path, n, func(line string) error {
			lines <- line
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("Follow returned %v, want context.Canceled", err)
		}
		if len(lines) > 0 {
			t.Errorf("%d unexpected lines, the first is %q", len(lines), <-lines)
		}
	})
	return func(want ...string) {
		t.Helper()
		for _, w := range want {
			select {
			case got := <-lines:
				if got != w {
					t.Fatalf("line %q, want %q", got, w)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("no line within 30 s, want %q", w)
			}
		}
	}
}

// boundLog removes the oldest part of a log.
func boundLog(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		_, err = logfile.Limit{MaxSize: size}.Bound(f)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// AP-07: `logs` reads over rotated files, the oldest first.
func TestLinesOfRotatedLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	appendText(t, path+".10", "a\nb")
	appendText(t, path+".2", "c\nd\n")
	appendText(t, path+".old", "not of it\n")
	appendText(t, path, "e\nf\n")
	for n, want := range map[int][]string{0: {"a", "b", "c", "d", "e", "f"}, 3: {"d", "e", "f"}, 5: {"b", "c", "d", "e", "f"}} {
		var got []string
		err := ReadLines(path, n, func(line string) error {
			got = append(got, line)
			return nil
		})
		if err != nil || !cmp.Equal(want, got) {
			t.Errorf("%d lines: %q, %v", n, got, err)
		}
	}
}

// The last lines are found, however long they are.
func TestLastLongLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	long := []string{"first", strings.Repeat("a", 9*lineGuess), strings.Repeat("b", 20*lineGuess)}
	appendText(t, path, joinLines(long))
	for n := 1; n <= 3; n++ {
		var got []string
		err := ReadLines(path, n, func(line string) error {
			got = append(got, line)
			return nil
		})
		if err != nil || !cmp.Equal(long[3-n:], got) {
			t.Errorf("%d lines: %d of them, %v", n, len(got), err)
		}
	}
}

// AP-07: following a log that is bounded repeatedly gives each line once, in order,
// and no line is missing.
func TestFollowWhileBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	next := startFollowing(t, path, 0)
	all := numberedLines(1, 12_000)
	for n := 0; n < len(all); n += 1000 {
		appendText(t, path, joinLines(all[n:n+500]))
		next(all[n : n+500]...) // before half of them is removed
		appendText(t, path, joinLines(all[n+500:n+1000]))
		boundLog(t, path, 120_000)
		next(all[n+500 : n+1000]...)
	}
}

func numberedLines(first, last int) (lines []string) {
	for n := first; n <= last; n++ {
		lines = append(lines, fmt.Sprintf("line %d %s", n, strings.Repeat("x", 90)))
	}
	return lines
}

func joinLines(lines []string) string { return strings.Join(lines, "\n") + "\n" }

func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	next := startFollowing(t, path, 2) // the file does not exist yet
	appendText(t, path, "half ")
	appendText(t, path, "a line\n")
	next("half a line")

	t.Run("oldest part removed", func(t *testing.T) {
		before := numberedLines(1, 900)
		appendText(t, path, joinLines(before))
		next(before...)
		boundLog(t, path, 20_000)
		appendText(t, path, "written meanwhile\n")
		next("written meanwhile")
	})
	t.Run("rotated by another program", func(t *testing.T) {
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		appendText(t, path+".1", "the writer continues\n")
		next("the writer continues")
		appendText(t, path, "the next writer\n")
		next("the next writer")
		appendText(t, path+".1", "both\n")
		next("both")
	})
	t.Run("replaced", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "other")
		more := numberedLines(1, 700) // longer than what it replaces
		appendText(t, other, joinLines(more))
		if err := os.Rename(other, path); err != nil {
			t.Fatal(err)
		}
		next(more...)
	})
	t.Run("removed and created", func(t *testing.T) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		appendText(t, path, "new\n")
		next("new")
	})
	t.Run("from its end", func(t *testing.T) {
		appendText(t, path, "a\nb\nc\nopen")
		next("a", "b", "c")
		second := startFollowing(t, path, 2)
		second("b", "c")
		appendText(t, path, " end\n")
		second("open end")
		next("open end")
	})
}
