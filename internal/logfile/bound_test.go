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

// testFolders returns a folder on the file system of the tests, and one on a file
// system that cannot collapse ranges, if there is one.
func testFolders(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{"here": t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "logfile-"); err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		found["tmpfs"] = dir
	}
	return found
}

func numberedLine(n int) string { return fmt.Sprintf("line %d %s\n", n, strings.Repeat("x", n%3997)) }

// appendLines appends numbered lines in blocks until stopped, and returns the last
// number.
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
			b = append(b, numberedLine(n)...)
			n++
		}
		if _, err := f.Write(b); err != nil {
			return 0, err
		}
	}
}

func openReadWrite(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// checkLines checks that a log holds a mark and then complete lines in order up to
// the last. It returns the number of places where lines are missing.
func checkLines(t *testing.T, b []byte, last int) (gaps int) {
	t.Helper()
	before, torn := 0, 0
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 2*markMax)
	for n := 0; lines.Scan(); n++ {
		text := lines.Text() + "\n"
		var number int
		if _, err := fmt.Sscanf(text, "line %d ", &number); err != nil || numberedLine(number) != text {
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
		t.Errorf("the last line is %d, want %d", before, last)
	}
	if !bytes.HasPrefix(b, []byte(markBegin)) {
		t.Errorf("begins with %.100q, want a mark", b)
	}
	return gaps + torn
}

// AP-07: the oldest bytes are removed, one line marks it, and no output is lost;
// where ranges cannot be collapsed, at most the output during one system call.
func TestBoundWhileAppended(t *testing.T) {
	for name, dir := range testFolders(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "log")
			l := Limit{MaxSize: 64 << 10, Keep: 3}
			if err := os.WriteFile(path, nil, 0o640); err != nil {
				t.Fatal(err)
			}
			f, stop, last := openReadWrite(t, path), make(chan struct{}), make(chan int, 1)
			go func() {
				n, err := appendLines(path, 1, stop)
				if err != nil {
					t.Error(err)
				}
				last <- n
			}()
			const want = 20
			for bounded := 0; bounded < want; {
				info, err := f.Stat()
				if err != nil {
					t.Fatal(err)
				}
				if info.Size() <= l.maxTotal() {
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
			if err != nil || size > l.maxTotal() {
				t.Errorf("%d bytes at the end: %v", size, err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			gaps := checkLines(t, b, n)
			if canCollapse(f) && gaps > 1 { // half a line may follow the mark
				t.Errorf("%d gaps, want at most 1", gaps)
			}
			if marks := bytes.Count(b, []byte(markDrop)); marks != 1 {
				t.Errorf("%d marks, want 1", marks)
			}
			end, err := End(f)
			if err != nil || canCollapse(f) && end != lineBytes(n) {
				t.Errorf("end position %d, %v, want %d", end, err, lineBytes(n))
			}
		})
	}
}

// lineBytes returns the number of bytes of the first n lines.
func lineBytes(n int) (bytes int64) {
	for i := 1; i <= n; i++ {
		bytes += int64(len(numberedLine(i)))
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
		if n, err := l.Bound(openReadWrite(t, path)); err != nil || n != int64(size) {
			t.Errorf("%d bytes: %d, %v", size, n, err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != want {
			t.Errorf("%d bytes: changed to %.50q, %v", size, b, err)
		}
	}
}

// Every limit that can be configured is enforced, also for a log without line
// breaks.
func TestBoundAnyLimit(t *testing.T) {
	for name, dir := range testFolders(t) {
		for _, l := range []Limit{{4096, 0}, {4096, 1}, {5000, 2}, {1 << 20, 0}} {
			for _, content := range []string{"x", "a line of text\n", "\n"} {
				path := filepath.Join(dir, "log")
				b := bytes.Repeat([]byte(content), int(l.maxTotal()+70_000)/len(content))
				if err := os.WriteFile(path, b, 0o640); err != nil {
					t.Fatal(err)
				}
				size, err := l.Bound(openReadWrite(t, path))
				if err != nil || size > l.maxTotal() || size < l.remainingSize()-16<<10 || size == 0 {
					t.Errorf("%s, %+v, %q: %d bytes, %v", name, l, content, size, err)
				}
			}
		}
	}
}

// An interrupted move is done again.
func TestBoundAfterInterruptedMove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := Limit{MaxSize: 4096, Keep: 1}
	text := mark{dropped: 700, moving: true}.formatLine(nil, time.Now())
	text = append(text, strings.Repeat("half\n", 5000)...)
	if err := os.WriteFile(path, text, 0o640); err != nil {
		t.Fatal(err)
	}
	f := openReadWrite(t, path)
	if size, err := l.Bound(f); err != nil || size > l.maxTotal() {
		t.Fatalf("%d bytes, %v", size, err)
	}
	if m, err := readMark(f); err != nil || m.moving || m.dropped <= 700 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestOpenRejectsOtherKinds(t *testing.T) {
	dir := t.TempDir()
	fifo, link := filepath.Join(dir, "fifo"), filepath.Join(dir, "link")
	if err := errors.Join(unix.Mkfifo(fifo, 0o640), os.Symlink(filepath.Join(dir, "file"), link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo, link, os.DevNull} {
		if f, err := Open(path); err == nil {
			f.Close()
			t.Errorf("%s was opened, want an error", path)
		}
	}
}

func TestMark(t *testing.T) {
	for _, m := range []mark{{}, {5, false}, {123456789012, true}} {
		b := m.formatLine(nil, time.Now())
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
	if got := (mark{dropped: 5}).formatLine([]byte(follows), time.Now()); len(got) != 201 {
		t.Errorf("mark %q, want it to end with the line", got)
	}
}
