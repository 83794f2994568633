package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/testenv"
)

// summary is a Result without the fields that differ from run to run.
type summary struct {
	Result
	Text string
}

func summarize(res Result) summary {
	s := summary{Result: res}
	if res.Err != nil {
		s.Text = res.Err.Error()
	}
	s.Err, s.Took = nil, 0
	return s
}

func TestRunEndsByItself(t *testing.T) {
	tests := []struct {
		name   string
		helper string
		arg    int
		want   summary
	}{
		{"exit 0", "exit", 0, summary{Result{Started: true, Output: "out+err"}, ""}},
		{"exit 3", "exit", 3, summary{Result{Started: true, ExitCode: 3, Output: "out+err"}, "exit 3"}},
		{"exit 255", "exit", 255, summary{Result{Started: true, ExitCode: 255, Output: "out+err"}, "exit 255"}},
		{"SIGKILL", "kill", 9, summary{Result{Started: true, ExitCode: -1, Signal: syscall.SIGKILL}, "killed by SIGKILL"}},
		{"SIGTERM", "kill", 15, summary{Result{Started: true, ExitCode: -1, Signal: syscall.SIGTERM}, "killed by SIGTERM"}},
	}
	r := NewRunner(Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFamily(t)
			c := f.command(tt.helper, strconv.Itoa(tt.arg))
			c.Timeout = time.Minute
			res := r.Run(t.Context(), c)
			f.checkNone()
			if res.Took <= 0 {
				t.Errorf("took %v", res.Took)
			}
			if diff := cmp.Diff(tt.want, summarize(res), cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestErrEndedUnnamedSignal(t *testing.T) {
	if err := errEnded(40, false); err == nil || err.Error() != "killed by signal 40" {
		t.Error(err)
	}
}

// SPEC 2 and 11: the environment, streams and folder of a command.
func TestRunContext(t *testing.T) {
	f := newFamily(t)
	r := NewRunner(Options{})
	c := f.command("context", "--status", "$HOME *")
	c.Env = append(c.Env, "KEY=first", "KEY=last")
	const rest = ` stdin=/dev/null own group=true nonblocking=false append=%t death=0 args=["--status" "$HOME *"] key=last`

	want := "dir=/" + fmt.Sprintf(rest, false)
	if res := r.Run(t.Context(), c); res.Err != nil || res.Output != want {
		t.Errorf("pipe: %v\n%s\nwant\n%s", res.Err, res.Output, want)
	}
	c.Dir = t.TempDir()
	c.Daemon, c.Log = true, filepath.Join(t.TempDir(), "log")
	want = "dir=" + c.Dir + fmt.Sprintf(rest, true)
	if res := r.Run(t.Context(), c); res.Err != nil || res.Output != want {
		t.Errorf("log: %v\n%s\nwant\n%s", res.Err, res.Output, want)
	}
}

// RS-07: the error says why a command could not be run.
func TestRunNotStarted(t *testing.T) {
	folder := t.TempDir()
	busy := writeFile(t, 0o755, "\x7fELF")
	writer, err := os.OpenFile(busy, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	tests := []struct {
		name string
		c    Command
		text string
		is   error
	}{
		{"missing", Command{Path: filepath.Join(folder, "none")}, "executable missing", fs.ErrNotExist},
		{"below a file", Command{Path: filepath.Join(busy, "none")}, "executable missing", fs.ErrNotExist},
		{"no x bit", Command{Path: writeFile(t, 0o644, "#!/bin/sh\n")}, "not executable", fs.ErrPermission},
		{"folder", Command{Path: folder}, "executable is a folder", syscall.EISDIR},
		{"bad format", Command{Path: writeFile(t, 0o755, "no program")}, "not an executable format", syscall.ENOEXEC},
		{"empty file", Command{Path: writeFile(t, 0o755, "")}, "not an executable format", syscall.ENOEXEC},
		{"EV-24 text file busy", Command{Path: busy}, "executable is open for writing", syscall.ETXTBSY},
		{"no interpreter", Command{Path: writeFile(t, 0o755, "#!/none/sh\n")}, "interpreter missing", fs.ErrNotExist},
		{"no folder", Command{Path: os.Args[0], Dir: filepath.Join(folder, "none")}, "working directory missing", fs.ErrNotExist},
		{"relative", Command{Path: "true"}, "executable path is not absolute", fs.ErrInvalid},
		{"NUL in path", Command{Path: "/\x00"}, "cannot start: invalid argument", syscall.EINVAL},
	}
	r := NewRunner(Options{})
	for _, tt := range tests {
		for _, log := range []string{"", filepath.Join(t.TempDir(), "log")} {
			t.Run(tt.name, func(t *testing.T) {
				tt.c.Daemon, tt.c.Log = log != "", log
				res := r.Run(t.Context(), tt.c)
				if diff := cmp.Diff(summary{Result{ExitCode: -1}, tt.text}, summarize(res)); diff != "" {
					t.Error(diff)
				}
				if !errors.Is(res.Err, tt.is) {
					t.Errorf("errors.Is(%v, %v) is false", res.Err, tt.is)
				}
			})
		}
	}
	if n := r.Running(); n != 0 {
		t.Errorf("%d are running, want 0", n)
	}
}

// F23: if a file has its x bits, the error says what else may prevent its execution.
func TestRunOnNoexec(t *testing.T) {
	folder := t.TempDir()
	if err := unix.Mount("noexec", folder, "tmpfs", unix.MS_NOEXEC, ""); err != nil {
		testenv.SkipWithout(t, testenv.Mount, err)
	}
	defer func() {
		if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	path := filepath.Join(folder, "main")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		path: "not executable: its file system is mounted noexec (mount -o remount,exec)",
		writeFile(t, 0o755, "#!"+writeFile(t, 0o644, "")+"\n"): "not executable (mode 0755): check its interpreter, the folders above it and the security policy",
	} {
		if r := NewRunner(Options{}).Run(t.Context(), Command{Path: path}); r.Err == nil || r.Err.Error() != want || !errors.Is(r.Err, fs.ErrPermission) {
			t.Errorf("%v, want %q", r.Err, want)
		}
	}
}

// RS-07: a file that was just written can be run, although a concurrent fork may still hold the
// descriptor it was written through.
func TestRunJustWritten(t *testing.T) {
	r := NewRunner(Options{})
	folder := t.TempDir()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 20 {
				path := filepath.Join(folder, fmt.Sprintf("%d-%d", i, j))
				if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 4\n"), 0o755); err != nil {
					t.Error(err)
				}
				if res := r.Run(t.Context(), Command{Path: path}); res.ExitCode != 4 {
					t.Errorf("just written: %v", res.Err)
				}
			}
		})
	}
	all.Wait()
}

func TestRunCancelledBefore(t *testing.T) {
	cause := errors.New("removed meanwhile")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	res := NewRunner(Options{}).Run(ctx, Command{Path: "/none"})
	if diff := cmp.Diff(summary{Result{ExitCode: -1, Cancelled: true}, "cancelled"}, summarize(res)); diff != "" {
		t.Error(diff)
	}
	if !errors.Is(res.Err, cause) || !errors.Is(res.Err, context.Canceled) {
		t.Errorf("%v does not wrap the cause of the cancel", res.Err)
	}
}

// SC-08: many commands run at once, each with its own result.
func TestRunMany(t *testing.T) {
	f := newFamily(t)
	r := NewRunner(Options{})
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			res := r.Run(t.Context(), f.command("exit", strconv.Itoa(i)))
			if res.ExitCode != i || res.Output != "out+err" {
				t.Errorf("exit %d: %+v", i, res)
			}
		})
	}
	all.Wait()
	f.checkNone()
	if n := r.Running(); n != 0 {
		t.Errorf("%d are running, want 0", n)
	}
}
