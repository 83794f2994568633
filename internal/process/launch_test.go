package process

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/internal/testenv"
	"pluginsupervisor/plugin"
)

// shellProgram returns a command that runs a shell script as the program of a plugin.
func (r *testbed) shellProgram(name, script string, args ...string) Command {
	c := r.daemonCommand(name, "")
	c.Path, c.Args, c.Session = "/bin/sh", append([]string{"-c", script}, args...), true
	return c
}

func (r *testbed) launch(c Command) *Launched {
	r.t.Helper()
	l, err := r.runner.Launch(r.t.Context(), c)
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

// AP-06: a program is started by one fork and one exec, recorded before its first instruction, and
// its exit is an exit of the plugin.
func TestLaunch(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	withAndWithoutCgroups(t, func(t *testing.T, r *testbed) {
		r.subreap()
		record := filepath.Join(r.root, "record")
		c := r.shellProgram("p", `test -e "$0" && echo recorded; exec sleep 1000`, record)
		var recorded plugin.Process
		c.BeforeExec = func(p plugin.Process) {
			recorded = p
			time.Sleep(50 * time.Millisecond)
			if err := os.WriteFile(record, nil, 0o644); err != nil {
				t.Error(err)
			}
		}
		l := r.launch(c)
		if s, err := procfs.ReadStat(l.PID()); err != nil || recorded.PID != l.PID() || recorded.StartTicks != s.Born || s.Session != l.PID() {
			t.Errorf("recorded %+v; process %d is %+v, %v", recorded, l.PID(), s, err)
		}
		eventually(t, "output", func() bool {
			b, _ := os.ReadFile(c.Log)
			return len(b) > 0
		})
		res := l.Leave()
		if res.Err != nil || len(res.Processes) != 1 || res.Processes[0] != recorded || res.RunID == 0 || res.Output != "recorded\n" {
			t.Fatalf("left %+v, recorded %+v", res, recorded)
		}
		if err := syscall.Kill(l.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if e := r.nextExit(); e.RunID != res.RunID || !e.CauseKnown || e.Signal != "SIGKILL" {
			t.Errorf("exit %+v, want of run %d by SIGKILL", e, res.RunID)
		}
		eventually(t, "it is reaped", func() bool {
			_, err := procfs.ReadStat(l.PID())
			return err != nil
		})
	})
}

func TestLaunchAndExit(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	withAndWithoutCgroups(t, func(t *testing.T, r *testbed) {
		r.subreap()
		l := r.launch(r.shellProgram("p", "echo no; exit 3"))
		<-l.Exited()
		if res := l.Leave(); res.ExitCode != 3 || res.Err == nil || res.Err.Error() != "exit 3" || len(res.Processes) != 0 || res.Output != "no\n" {
			t.Errorf("%+v, want exit 3", res)
		}
		l = r.launch(r.shellProgram("p", "trap '' TERM; sleep 1000 & echo up; while :; do sleep 1; done"))
		eventually(t, "output", func() bool {
			b, _ := os.ReadFile(filepath.Join(r.root, "p.log"))
			return strings.HasSuffix(string(b), "up\n")
		})
		if res := l.Stop(syscall.SIGTERM, 50*time.Millisecond); res.Signal != syscall.SIGKILL || len(res.Processes) != 0 {
			t.Errorf("%+v, want killed and nothing left", res)
		}
		l = r.launch(r.shellProgram("p", "(sleep 1000) & exit 0")) // puts itself in the background
		<-l.Exited()
		if res := l.Leave(); res.ExitCode != 0 || len(res.Processes) != 1 {
			t.Errorf("%+v, want one process", res)
		}
		select {
		case e := <-r.exits:
			t.Errorf("exit %+v, want none", e)
		default:
		}
		c := r.shellProgram("p", "")
		c.Path = "/absent"
		if _, err := r.runner.Launch(t.Context(), c); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v, want %v", err, fs.ErrNotExist)
		}
		if err := r.runner.Drain(t.Context()); err != nil {
			t.Errorf("drain: %v", err)
		}
		if _, err := r.runner.Launch(t.Context(), r.shellProgram("p", "")); !errors.Is(err, ErrDraining) {
			t.Errorf("error %v, want %v", err, ErrDraining)
		}
	})
}

func TestLaunchNeedsReaper(t *testing.T) {
	r := newTestbed(t, plugin.WatchPidfd)
	if _, err := r.runner.Launch(t.Context(), r.shellProgram("p", "")); !errors.Is(err, errNoTracker) {
		t.Errorf("error %v, want %v", err, errNoTracker)
	}
}

// AP-06: the program runs as its user.
func TestLaunchAsUser(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.SkipWithout(t, testenv.Root, nil)
	}
	if !inOwnProcess(t) {
		return
	}
	r := newTestbed(t, plugin.WatchPidfd)
	r.subreap()
	c := r.shellProgram("p", "id -u; id -g; id -G")
	c.User = &User{UID: 65534, GID: 65533, Groups: []uint32{65533, 65531}}
	l := r.launch(c)
	<-l.Exited()
	if res := l.Leave(); res.Output != "65534\n65533\n65533 65531\n" {
		t.Errorf("%+v", res)
	}
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || os.Getuid() != 0 {
		t.Errorf("this process: dumpable %d, %v, user %d", dumpable, err, os.Getuid())
	}
}
