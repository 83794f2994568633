package process

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"pluginsupervisor/internal/logfile"
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
	if res := r.Run(t.Context(), c); len(res.Output) != logTailSize || !strings.HasSuffix(res.Output, "the end") {
		t.Errorf("%v, %d bytes", res.Err, len(res.Output))
	}
}

// A daemon writes to the log after the verb has exited, in its own session or not. The output of
// the next verb does not include older lines.
func TestRunLeavesDaemon(t *testing.T) {
	for _, name := range []string{"daemon", "background"} {
		t.Run(name, func(t *testing.T) {
			f := newFamily(t)
			c := f.command(name)
			c.Daemon, c.Log = true, filepath.Join(t.TempDir(), "log")
			res := NewRunner(Options{}).Run(t.Context(), c)
			if res.Err != nil || len(res.Output) > logTailSize || !strings.Contains(readFile(t, c.Log), "started\n") {
				t.Errorf("%+v", res)
			}
			f.awaitAlive(1)
			before := len(readFile(t, c.Log))
			eventually(t, "daemon goes on", func() bool { return len(readFile(t, c.Log)) > before })
			f.killAll()
		})
	}
}

// Daemon decides whether leftover processes are killed, not the place of the output.
func TestRunDaemonWithoutLog(t *testing.T) {
	f := newFamily(t)
	c := f.command("background")
	c.Log = filepath.Join(t.TempDir(), "log")
	if res := NewRunner(Options{}).Run(t.Context(), c); res.Err != nil || !strings.Contains(res.Output, "started\n") {
		t.Errorf("without Daemon: %+v", res)
	}
	f.checkNone()
	c.Daemon, c.Log = true, ""
	if res := NewRunner(Options{}).Run(t.Context(), c); res.Err != nil || res.Output != "" {
		t.Errorf("with Daemon and no Log: %+v", res)
	}
	f.awaitAlive(1)
	f.killAll()
}

// fillSize is the least number of bytes that the helper "fill" prints.
const fillSize = 1 << 20

// AP-07: a log that is cut while a verb runs does not change the returned output.
func TestRunWhileLogIsBounded(t *testing.T) {
	f := newFamily(t)
	c := f.command("fill")
	c.Daemon, c.Log = true, filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(c.Log, []byte("old\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	bounded := make(chan error, 1)
	go func() {
		for {
			info, err := os.Stat(c.Log)
			if err == nil && info.Size() <= fillSize {
				time.Sleep(time.Millisecond)
				continue
			}
			file, err := os.OpenFile(c.Log, os.O_RDWR, 0)
			if err == nil {
				_, err = logfile.Limit{MaxSize: fillSize / 2}.Bound(file)
				err = errors.Join(err, file.Close())
			}
			bounded <- err
			return
		}
	}()
	res := NewRunner(Options{}).Run(t.Context(), c)
	want := strings.Repeat("x", logTailSize-len("before\nafter\n")) + "before\nafter\n"
	if res.Err != nil || res.Output != want {
		t.Errorf("%v\n%q", res.Err, res.Output)
	}
	if err := <-bounded; err != nil {
		t.Error(err)
	}
}

// A log that cannot be opened does not prevent a start. It is logged once.
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
			if e := hook.LastEntry(); e.Level != logrus.WarnLevel || e.Message != "Cannot open the plugin log, its output is lost" || e.Data["log"] != path {
				t.Errorf("%v: %s %v", e.Level, e.Message, e.Data)
			}
		})
	}
}

// badLogs returns paths that must not be opened as logs, by the kind of file.
func badLogs(t *testing.T) map[string]string {
	folder := t.TempDir()
	file := writeFile(t, 0o640, "precious")
	fifo, link := filepath.Join(folder, "fifo"), filepath.Join(folder, "link")
	if err := syscall.Mkfifo(fifo, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if got := readFile(t, file); got != "precious" {
			t.Errorf("the target of the symlink contains %q", got)
		}
	})
	return map[string]string{
		"folder": folder, "fifo": fifo, "symlink": link, "device": os.DevNull, "below a file": filepath.Join(file, "log"),
	}
}

// The warning is logged again after the log has worked.
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
