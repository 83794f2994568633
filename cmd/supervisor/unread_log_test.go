package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/plugin"
)

// unreadLog is a supervisor whose log is not read.
type unreadLog struct {
	t    *testing.T
	root string
	log  *os.File // the reading end
	cmd  *exec.Cmd
	done chan error
}

// startUnreadLog starts a supervisor whose log is a pipe of 4 KiB.
func startUnreadLog(t *testing.T) *unreadLog {
	t.Helper()
	root, err := os.MkdirTemp("/tmp", "sv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	bin := os.Getenv("TEST_BIN")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = read.Close() })
	if _, err := unix.FcntlInt(write.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	u := &unreadLog{t: t, root: root, log: read, done: make(chan error, 1)}
	u.cmd = exec.Command(filepath.Join(bin, "supervisor"), "run", "--root", root, "--log-level", "debug", "--first-run-jitter", "0s",
		"--first-run-scan", "0s", "--restart-stagger", "0s", "--restart-burst", "1000", "--control-plane-url", "http://127.0.0.1:1")
	u.cmd.Stderr = write
	if err := u.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { u.done <- u.cmd.Wait() }()
	t.Cleanup(func() { _ = u.cmd.Process.Kill() })
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	return u
}

// readStatus returns the status. It fails the test if the supervisor does not answer.
func (u *unreadLog) readStatus() plugin.Snapshot {
	u.t.Helper()
	for deadline := time.Now().Add(timeLimit); ; time.Sleep(50 * time.Millisecond) {
		out, err := exec.Command(filepath.Join(os.Getenv("TEST_BIN"), "supervisor"), "status", "--root", u.root, "-o", "json").Output()
		var s plugin.Snapshot
		if len(out) > 0 && json.Unmarshal(out, &s) == nil {
			return s
		}
		if time.Now().After(deadline) {
			u.t.Fatalf("no status: %v", err)
		}
	}
}

// stopSupervisor sends SIGTERM and waits for the time of EV-16 and of flushing the
// log.
func (u *unreadLog) stopSupervisor() {
	u.t.Helper()
	if err := u.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		u.t.Fatal(err)
	}
	select {
	case err := <-u.done:
		if err != nil {
			u.t.Errorf("exit after SIGTERM: %v", err)
		}
	case <-time.After(12 * time.Second):
		u.t.Error("no exit within 12 s of SIGTERM")
	}
}

// EV-27: the reader of the log does not read: the supervisor continues, reports how
// many lines it dropped, and exits after SIGTERM.
func TestLogIsNotRead(t *testing.T) {
	u := startUnreadLog(t)
	u.readStatus()
	u.fillLog(func(s plugin.Snapshot) bool { return s.Counters.LogLinesDropped > 0 })
	s := u.readStatus()
	problem := ""
	for _, p := range s.Problems {
		if p.What == plugin.ProblemLog {
			problem = p.String()
		}
	}
	if !strings.Contains(problem, " log lines dropped: nothing reads the log") {
		t.Errorf("problems %v", s.Problems)
	}
	u.stopSupervisor()
}

// EV-27: the reader of the log exits: the supervisor continues.
func TestLogReaderExits(t *testing.T) {
	u := startUnreadLog(t)
	u.readStatus()
	if err := u.log.Close(); err != nil {
		t.Fatal(err)
	}
	u.fillLog(func(s plugin.Snapshot) bool { return s.Counters.LogLinesDropped > 0 })
	if p := u.readStatus().Problems; len(p) == 0 || !strings.Contains(p[0].Why, "broken pipe") {
		t.Errorf("problems %v", p)
	}
	u.stopSupervisor()
}

// fillLog makes the supervisor log until enough returns true: each SIGHUP is a line.
func (u *unreadLog) fillLog(enough func(plugin.Snapshot) bool) {
	u.t.Helper()
	for deadline := time.Now().Add(timeLimit); !enough(u.readStatus()); {
		if time.Now().After(deadline) {
			u.t.Fatal("no line was dropped")
		}
		for range 2000 {
			if err := u.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				u.t.Fatal(err)
			}
			time.Sleep(50 * time.Microsecond)
		}
	}
}
