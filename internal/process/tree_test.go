package process

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/procfs"
)

const shortGrace = 50 * time.Millisecond

// RS-08, SC-09: at the deadline the whole process tree is killed, whatever it does.
func TestRunTimedOut(t *testing.T) {
	tests := []struct {
		name string
		args []string
		sig  syscall.Signal
	}{
		{"hang", nil, syscall.SIGTERM},
		{"tree", []string{"3"}, syscall.SIGKILL}, // 15 processes that ignore SIGTERM
		{"orphan", nil, syscall.SIGTERM},
		{"move", nil, syscall.SIGKILL},
		{"print", []string{"1000000"}, syscall.SIGTERM}, // still printing
	}
	r := NewRunner(Options{Grace: shortGrace})
	for _, tt := range tests {
		for name, log := range map[string]string{"pipe": "", "log": t.TempDir() + "/log"} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				f := newFamily(t)
				c := f.command(tt.name, tt.args...)
				c.Timeout, c.Daemon, c.Log = 300*time.Millisecond, log != "", log
				res := r.Run(t.Context(), c)
				f.checkNone()
				if !errors.Is(res.Err, context.DeadlineExceeded) {
					t.Errorf("%v does not wrap context.DeadlineExceeded", res.Err)
				}
				// On a busy machine the deadline may pass before the helper ignores SIGTERM.
				if res.Signal != tt.sig && res.Signal != syscall.SIGTERM {
					t.Errorf("killed by %v", res.Signal)
				}
				got := summarize(res)
				got.Output, got.Signal = "", 0
				want := summary{Result{Started: true, ExitCode: -1, TimedOut: true}, "did not return within 300ms"}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// RS-10, RS-09: after a cancel, Run returns when the process tree is gone.
func TestRunCancelled(t *testing.T) {
	tests := []struct {
		name    string
		args    []string
		members int
		deaf    int // members that ignore SIGTERM
		want    summary
	}{
		{"hang", nil, 1, 0, summary{Result{Signal: syscall.SIGTERM}, "cancelled"}},
		{"tree", []string{"3"}, 15, 15, summary{Result{Signal: syscall.SIGKILL}, "cancelled"}},
		{"orphan", nil, 4, 3, summary{Result{Signal: syscall.SIGTERM}, "cancelled"}},
	}
	r := NewRunner(Options{Grace: shortGrace})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFamily(t)
			end := f.runInBackground(r, f.command(tt.name, tt.args...))
			f.awaitAlive(tt.members)
			eventually(t, "deaf to SIGTERM", func() bool { return f.countIgnoringSIGTERM() == tt.deaf })
			res := end()
			f.checkNone()
			tt.want.Started, tt.want.Cancelled, tt.want.ExitCode = true, true, -1
			if diff := cmp.Diff(tt.want, summarize(res)); diff != "" {
				t.Error(diff)
			}
			if !errors.Is(res.Err, context.Canceled) {
				t.Errorf("%v does not wrap the cause of the cancel", res.Err)
			}
		})
	}
}

// A command that handles SIGTERM with exit 0 gets the grace to do so, and still counts as killed.
func TestRunGrace(t *testing.T) {
	f := newFamily(t)
	c := f.command("exit0OnSIGTERM")
	c.Daemon, c.Log = true, t.TempDir()+"/log"
	end := f.runInBackground(NewRunner(Options{Grace: time.Hour}), c)
	eventually(t, "ready", func() bool { return len(f.listAlive()) == 1 && readFile(t, c.Log) == "ready" })
	want := summary{Result{Started: true, Cancelled: true, ExitCode: -1, Output: "ready, done"}, "cancelled"}
	if diff := cmp.Diff(want, summarize(end())); diff != "" {
		t.Error(diff)
	}
}

// A stopped process handles SIGTERM only after SIGCONT.
func TestRunStopped(t *testing.T) {
	f := newFamily(t)
	end := f.runInBackground(NewRunner(Options{Grace: time.Hour}), f.command("hang"))
	f.awaitAlive(1)
	pid := f.listAlive()[0]
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "stopped", func() bool { s, err := procfs.ReadStat(pid); return err == nil && s.State == 'T' })
	if res := end(); res.Signal != syscall.SIGTERM {
		t.Errorf("%+v", res)
	}
}

// SC-09: a probe that exits leaves no process in its group.
func TestRunProbeLeaves(t *testing.T) {
	f := newFamily(t)
	res := NewRunner(Options{}).Run(t.Context(), f.command("leave"))
	f.checkNone()
	if res.Err != nil || res.TimedOut {
		t.Errorf("%+v", res)
	}
}

// SC-09: a process that left the group and holds the pipe does not delay Run.
func TestRunPipeHeld(t *testing.T) {
	f := newFamily(t)
	r := NewRunner(Options{})
	res := r.Run(t.Context(), f.command("hold"))
	if res.Err != nil || res.Output != "held" {
		t.Errorf("%+v", res)
	}
	if n := len(f.listAlive()); n != 1 {
		t.Errorf("%d processes left, want the one in its own session", n)
	}
	f.killAll()
}

// SC-08, SC-09: among many commands, those that hang are killed and the others are not affected.
func TestRunManyHang(t *testing.T) {
	f := newFamily(t)
	r := NewRunner(Options{Grace: shortGrace})
	results := make(chan Result)
	for i := range 40 {
		c := f.command("exit", "7")
		if i%2 == 0 {
			c = f.command("tree", "1")
			c.Timeout = 200 * time.Millisecond
		}
		go func() { results <- r.Run(t.Context(), c) }()
	}
	hung := 0
	for range 40 {
		res := <-results
		if res.TimedOut {
			hung++
		} else if res.ExitCode != 7 {
			t.Errorf("%+v", res)
		}
	}
	f.checkNone()
	if hung != 20 {
		t.Errorf("%d hung, want 20", hung)
	}
}
