package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
)

// SPEC 11: a verb that may leave a daemon appends to its log.
func TestRunLog(t *testing.T) {
	f := newFamily(t)
	r := NewRunner(Options{})
	c := f.command("exit", "3")
	c.Daemon, c.Log = true, filepath.Join(t.TempDir(), "supervisor", "log", "p.log")
	for range 2 {
		if res := r.Run(t.Context(), c); res.ExitCode != 3 || res.Output != "out+err" {
			t.Errorf("%+v", res)
		}
	}
	if got := readFile(t, c.Log); got != "out+errout+err" {
		t.Errorf("log: %q", got)
	}
	for path, want := range map[string]os.FileMode{c.Log: 0o640, filepath.Dir(c.Log): os.ModeDir | 0o750} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	c = f.command("print", "1")
	c.Daemon, c.Log = true, filepath.Join(t.TempDir(), "log")
	if res := r.Run(t.Context(), c); len(res.Output) != logTail || !strings.HasSuffix(res.Output, "the end") {
		t.Errorf("%v, %d bytes", res.Err, len(res.Output))
	}
}

// What a daemon writes, in a session of its own or not, it goes on writing
// after the verb, and the next verb's output does not include the log before it.
func TestRunLeavesDaemon(t *testing.T) {
	for _, name := range []string{"daemon", "background"} {
		t.Run(name, func(t *testing.T) {
			f := newFamily(t)
			c := f.command(name)
			c.Daemon, c.Log = true, filepath.Join(t.TempDir(), "log")
			res := NewRunner(Options{}).Run(t.Context(), c)
			if res.Err != nil || len(res.Output) > logTail || !strings.Contains(readFile(t, c.Log), "started\n") {
				t.Errorf("%+v", res)
			}
			f.await(1)
			before := len(readFile(t, c.Log))
			eventually(t, "daemon goes on", func() bool { return len(readFile(t, c.Log)) > before })
			f.kill()
		})
	}
}

// Whether what a command leaves is killed depends on Daemon, not on where it prints.
func TestRunDaemonWithoutLog(t *testing.T) {
	f := newFamily(t)
	c := f.command("background")
	c.Log = filepath.Join(t.TempDir(), "log")
	if res := NewRunner(Options{}).Run(t.Context(), c); res.Err != nil || !strings.Contains(res.Output, "started\n") {
		t.Errorf("no daemon: %+v", res)
	}
	f.none()
	c.Daemon, c.Log = true, ""
	if res := NewRunner(Options{}).Run(t.Context(), c); res.Err != nil || res.Output != "" {
		t.Errorf("a daemon without a log: %+v", res)
	}
	f.await(1)
	f.kill()
}

// SPEC 11: cut while the verb runs; its output is still what it printed.
func TestRunCutsLog(t *testing.T) {
	f := newFamily(t)
	c := f.command("fill")
	c.Daemon, c.Log = true, filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(c.Log, bytes.Repeat([]byte("old\n"), logKeep/4), 0o640); err != nil {
		t.Fatal(err)
	}
	res := NewRunner(Options{}).Run(t.Context(), c)
	want := strings.Repeat("x", logTail-len("before\nafter\n")) + "before\nafter\n"
	if res.Err != nil || res.Output != want {
		t.Errorf("%v\n%q", res.Err, res.Output)
	}
	if got := len(readFile(t, c.Log)); got != logKeep+len("after\n") {
		t.Errorf("%d bytes in the log", got)
	}
}

// A log that cannot be had does not keep a plugin down; it is warned of once.
func TestRunWithoutLog(t *testing.T) {
	for name, path := range badLogs(t) {
		t.Run(name, func(t *testing.T) {
			f := newFamily(t)
			logger, hook := logtest.NewNullLogger()
			r := NewRunner(Options{Log: logger})
			c := f.command("exit", "3")
			c.Daemon, c.Log = true, path
			for range 3 {
				if res := r.Run(t.Context(), c); res.ExitCode != 3 || res.Output != "" {
					t.Errorf("%+v", res)
				}
			}
			if n := len(hook.AllEntries()); n != 1 {
				t.Fatalf("%d warnings, want 1", n)
			}
			if e := hook.LastEntry(); e.Level != logrus.WarnLevel || e.Message != "Output is not logged" || e.Data["log"] != path {
				t.Errorf("%v: %s %v", e.Level, e.Message, e.Data)
			}
		})
	}
}

// badLogs are paths that must not be opened as logs, by what is there.
func badLogs(t *testing.T) map[string]string {
	folder := t.TempDir()
	file := writeFile(t, 0o640, strings.Repeat("x", logMax+1))
	fifo, link := filepath.Join(folder, "fifo"), filepath.Join(folder, "link")
	if err := syscall.Mkfifo(fifo, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if got := len(readFile(t, file)); got != logMax+1 {
			t.Errorf("the file behind the symlink has %d bytes", got)
		}
	})
	return map[string]string{
		"folder": folder, "fifo": fifo, "symlink": link, "device": os.DevNull, "below a file": filepath.Join(file, "log"),
	}
}

// A warning comes again when the log had worked in between.
func TestRunWarnsAgain(t *testing.T) {
	f := newFamily(t)
	logger, hook := logtest.NewNullLogger()
	r := NewRunner(Options{Log: logger})
	c := f.command("exit", "0")
	c.Daemon, c.Log = true, filepath.Join(t.TempDir(), "log")
	for range 2 {
		if err := os.Mkdir(c.Log, 0o750); err != nil {
			t.Fatal(err)
		}
		r.Run(t.Context(), c)
		if err := os.Remove(c.Log); err != nil {
			t.Fatal(err)
		}
		r.Run(t.Context(), c)
		if err := os.Remove(c.Log); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(hook.AllEntries()); n != 2 {
		t.Errorf("%d warnings, want 2", n)
	}
}

func TestTrimLog(t *testing.T) {
	for _, size := range []int{0, logMax, logMax + 1, 3*logMax + 12345} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			content := strings.Repeat("0123456789\n", size/11+1)[:size]
			path := writeFile(t, 0o640, content)
			if err := TrimLog(path); err != nil {
				t.Fatal(err)
			}
			want := content
			if size > logMax {
				want = content[size-logKeep:]
			}
			if got := readFile(t, path); got != want {
				t.Errorf("%d bytes left, want the last %d", len(got), len(want))
			}
		})
	}
	if err := TrimLog(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Errorf("missing: %v", err)
	}
	for name, path := range badLogs(t) {
		if err := TrimLog(path); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Several may cut while a daemon appends: lines stay in order and, but for one
// a cut, whole, and what is appended afterwards is there.
func TestTrimLogWhileAppended(t *testing.T) {
	path := writeFile(t, 0o640, "")
	stop, stopped := make(chan struct{}), make(chan error)
	go func() { stopped <- appendLines(path, stop) }()
	cuts := make(chan error)
	for range 2 {
		go func() {
			for range cutsEach {
				for size := int64(0); size <= logMax; {
					info, err := os.Stat(path)
					if err != nil {
						cuts <- err
						return
					}
					size = info.Size()
				}
				if err := TrimLog(path); err != nil {
					cuts <- err
					return
				}
			}
			cuts <- nil
		}()
	}
	for range 2 {
		if err := <-cuts; err != nil {
			t.Error(err)
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(readFile(t, path), "\n")
	last, torn := -1, 0
	for _, line := range lines[1 : len(lines)-1] { // the first may have lost its beginning
		var n int
		if _, err := fmt.Sscanf(line, "line %d", &n); err != nil || line != daemonLine(n) {
			torn++
			continue
		}
		if n <= last {
			t.Errorf("line %d after line %d", n, last)
		}
		last = n
	}
	if last != lastLine || torn > 2*cutsEach {
		t.Errorf("last line is %d, %d are torn", last, torn)
	}
}

const (
	lastLine = 1e9
	cutsEach = 5
)

func daemonLine(n int) string { return fmt.Sprintf("line %d %0200d\n", n, n) }

// appendLines appends numbered lines until stopped, and then the last.
func appendLines(path string, stop chan struct{}) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for n := 0; ; n++ {
		select {
		case <-stop:
			_, err := f.WriteString(daemonLine(lastLine))
			return err
		default:
			if _, err := f.WriteString(daemonLine(n)); err != nil {
				return err
			}
		}
	}
}
