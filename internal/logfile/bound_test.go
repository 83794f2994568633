package logfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// folders are a folder of the file system that tests use, and one of a file
// system that cannot take a range out of a file, where there is one.
func folders(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{"here": t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "logfile-"); err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		found["tmpfs"] = dir
	}
	return found
}

func line(n int) string { return fmt.Sprintf("line %d %s\n", n, strings.Repeat("x", n%3997)) }

// appendLines appends numbered lines in blocks until stopped, and returns the last.
func appendLines(path string, first int, stop <-chan struct{}) (last int, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for n := first; ; {
		select {
		case <-stop:
			return n - 1, nil
		default:
		}
		var b []byte
		for range 50 {
			b = append(b, line(n)...)
			n++
		}
		if _, err := f.Write(b); err != nil {
			return 0, err
		}
	}
}

func openBoth(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// checkLines checks that a log holds whole lines in order up to the last, after
// a mark, and returns how many places miss a line.
func checkLines(t *testing.T, b []byte, last int) (gaps int) {
	t.Helper()
	before, torn := 0, 0
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 2*markMax)
	for n := 0; lines.Scan(); n++ {
		text := lines.Text() + "\n"
		var number int
		if _, err := fmt.Sscanf(text, "line %d ", &number); err != nil || line(number) != text {
			if !strings.HasPrefix(text, markBegin) {
				torn++
			}
			continue
		}
		if before != 0 && number != before+1 {
			gaps++
		}
		if number <= before {
			t.Fatalf("line %d after line %d", number, before)
		}
		before = number
	}
	if before != last {
		t.Errorf("the last line is %d, %d was written", before, last)
	}
	if !bytes.HasPrefix(b, []byte(markBegin)) {
		t.Errorf("begins with %.100q, no mark", b)
	}
	return gaps + torn
}

// AP-07: what is dropped is the oldest, marked by one line, and the writer
// loses nothing; where a range cannot be taken out of a file, at most what it
// wrote during one system call.
func TestBoundWhileAppended(t *testing.T) {
	for name, dir := range folders(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "log")
			l := Limit{MaxSize: 64 << 10, Keep: 3}
			if err := os.WriteFile(path, nil, 0o640); err != nil {
				t.Fatal(err)
			}
			f, stop, last := openBoth(t, path), make(chan struct{}), make(chan int, 1)
			go func() {
				n, err := appendLines(path, 1, stop)
				if err != nil {
					t.Error(err)
				}
				last <- n
			}()
			const rounds = 20
			for bounded := 0; bounded < rounds; {
				info, err := f.Stat()
				if err != nil {
					t.Fatal(err)
				}
				if info.Size() <= l.total() {
					continue
				}
				bounded++
				if _, err := l.Bound(f); err != nil {
					t.Fatal(err)
				}
			}
			close(stop)
			n := <-last
			size, err := l.Bound(f)
			if err != nil || size > l.total() {
				t.Errorf("%d bytes at the end: %v", size, err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			gaps := checkLines(t, b, n)
			if collapses(f) && gaps > 1 { // what follows the mark may be half a line
				t.Errorf("%d gaps", gaps)
			}
			if marks := bytes.Count(b, []byte(markDrop)); marks != 1 {
				t.Errorf("%d lines say that something was dropped", marks)
			}
			end, err := End(f)
			if err != nil || collapses(f) && end != written(n) {
				t.Errorf("the end is at %d, %v; %d bytes were written", end, err, written(n))
			}
		})
	}
}

// written returns how many bytes the first n lines have.
func written(n int) (bytes int64) {
	for i := 1; i <= n; i++ {
		bytes += int64(len(line(i)))
	}
	return bytes
}

func TestBoundLeavesSmallLogsAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := Limit{MaxSize: 4096, Keep: 1}
	for _, size := range []int{0, 1, 8192} {
		want := strings.Repeat("x", size)
		if err := os.WriteFile(path, []byte(want), 0o640); err != nil {
			t.Fatal(err)
		}
		if n, err := l.Bound(openBoth(t, path)); err != nil || n != int64(size) {
			t.Errorf("%d bytes: %d, %v", size, n, err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != want {
			t.Errorf("%d bytes: changed to %.50q, %v", size, b, err)
		}
	}
}

// Every limit that can be configured holds, also for a log without lines.
func TestBoundAnyLimit(t *testing.T) {
	for name, dir := range folders(t) {
		for _, l := range []Limit{{4096, 0}, {4096, 1}, {5000, 2}, {1 << 20, 0}} {
			for _, content := range []string{"x", "a line of text\n", "\n"} {
				path := filepath.Join(dir, "log")
				b := bytes.Repeat([]byte(content), int(l.total()+70_000)/len(content))
				if err := os.WriteFile(path, b, 0o640); err != nil {
					t.Fatal(err)
				}
				size, err := l.Bound(openBoth(t, path))
				if err != nil || size > l.total() || size < l.remains()-16<<10 || size == 0 {
					t.Errorf("%s, %+v, %q: %d bytes, %v", name, l, content, size, err)
				}
			}
		}
	}
}

// A move that was cut short is done again, and leaves nothing out of order marked as whole.
func TestBoundAfterMoveCutShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := Limit{MaxSize: 4096, Keep: 1}
	text := mark{dropped: 700, moving: true}.line(nil, time.Now())
	text = append(text, strings.Repeat("half\n", 5000)...)
	if err := os.WriteFile(path, text, 0o640); err != nil {
		t.Fatal(err)
	}
	f := openBoth(t, path)
	if size, err := l.Bound(f); err != nil || size > l.total() {
		t.Fatalf("%d bytes, %v", size, err)
	}
	if m, err := readMark(f); err != nil || m.moving || m.dropped <= 700 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	fifo, link := filepath.Join(dir, "fifo"), filepath.Join(dir, "link")
	if err := errors.Join(unix.Mkfifo(fifo, 0o640), os.Symlink(filepath.Join(dir, "file"), link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo, link, os.DevNull} {
		if f, err := Open(path); err == nil {
			f.Close()
			t.Errorf("%s was opened", path)
		}
	}
}

func TestMark(t *testing.T) {
	for _, m := range []mark{{}, {5, false}, {123456789012, true}} {
		b := m.line(nil, time.Now())
		if got, err := readMark(bytes.NewReader(b)); err != nil || got != m {
			t.Errorf("%q is read as %+v, %v", b, got, err)
		}
	}
	for _, text := range []string{
		"", "a line\n", markBegin, markBegin + "x" + markDrop, markBegin + "-1" + markDrop, markBegin + "99999999999999999999" + markDrop,
		markBegin + "9000000000000000000" + markDrop, markBegin + "5 bytes",
	} {
		if got, err := readMark(strings.NewReader(text)); err != nil || got != (mark{}) {
			t.Errorf("%q is read as %+v, %v", text, got, err)
		}
	}
	follows := strings.Repeat("a", 200) + "\nb\n"
	if got := (mark{dropped: 5}).line([]byte(follows), time.Now()); len(got) != 201 {
		t.Errorf("%q does not end where the line ends", got)
	}
}
