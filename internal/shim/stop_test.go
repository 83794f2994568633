package shim

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/plugin"
)

// AP-03, AP-12: stop leaves no process, for every behaviour of a program.
func TestStopLeavesNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		yaml  string
		lines int // that the program and its children print
	}{
		"ignores TERM, and so does its child":     {"command: [PROGRAM, deaf]\nstop: {timeout: 300ms}", 2},
		"leaves children":                         {"command: [PROGRAM, family]\nstop: {timeout: 300ms}", 3},
		"is in the background":                    {"command: [PROGRAM, background, idle]", 2},
		"is in the background, with its children": {"command: [PROGRAM, background, family]\nstop: {timeout: 300ms}", 4},
		"changes its name":                        {"command: [PROGRAM, renamed]", 2},
		"closes its log":                          {"command: [PROGRAM, closed]", 1},
		"a script":                                {"command: [/bin/sh, -c, 'echo begins; sleep 100 & sleep 100']", 1},
		"another signal":                          {"command: [PROGRAM, deaf]\nstop: {signal: QUIT, timeout: 20s}", 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPackage(t, tt.yaml+"\nready: {after: 100ms}\n")
			p.runVerb(0, "--start")
			p.waitFor("all processes have started", func() bool { return strings.Count(p.readLog(), "begins") == tt.lines })
			p.runVerb(0, "--status")
			p.runVerb(0, "--start")
			if got := strings.Count(p.readLog(), "begins"); got != tt.lines {
				t.Errorf("started again:\n%s", p.readLog())
			}
			began := time.Now()
			p.runVerb(0, "--stop")
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			if left := p.findProcesses(); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			p.runVerb(1, "--status")
			p.runVerb(0, "--stop")
		})
	}
}

// AP-03: the rest of a killed program is stopped by stop, and before a start.
func TestStopAfterKill(t *testing.T) {
	for _, verb := range []string{"--stop", "--start"} {
		p := newPackage(t, "command: [PROGRAM, family]\nready: {after: 100ms}\nstop: {timeout: 200ms}\n")
		p.runVerb(0, "--start")
		p.waitFor("all processes have started", func() bool { return strings.Count(p.readLog(), "begins") == 3 })
		main, inGroup := p.recordedPID(), 0
		for _, pid := range p.findProcesses() {
			if s, err := procfs.ReadStat(pid); err == nil && s.Group == main && pid != main {
				inGroup = pid
			}
		}
		if err := syscall.Kill(main, syscall.SIGKILL); err != nil || inGroup == 0 {
			t.Fatal(err, inGroup)
		}
		p.waitFor("only its children run", func() bool {
			stat, err := procfs.ReadStat(main) // the files of /proc about its program are gone before it is
			return (err != nil || !stat.Live()) && len(p.findProcesses()) == 2
		})
		p.runVerb(0, verb)
		if s, err := procfs.ReadStat(inGroup); err == nil && s.Live() {
			t.Errorf("%s: process %d of the group is still running", verb, inGroup)
		}
	}
}

// AP-03: no other process is stopped: not a process that reuses the recorded pid, nor its
// session, nor the caller and its other children.
func TestStopOthers(t *testing.T) {
	p := newPackage(t, quickService)
	other := exec.Command("/bin/sleep", "100")
	other.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	beside := exec.Command("/bin/sleep", "100")
	beside.Env = append(os.Environ(), "PLUGIN_DIR="+p.dir) // like a process of the shell that calls stop
	for _, cmd := range []*exec.Cmd{other, beside} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}()
	}
	boot, err := procfs.BootID()
	if err != nil {
		t.Fatal(err)
	}
	s, err := procfs.ReadStat(other.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, stale := range []plugin.Process{
		{PID: other.Process.Pid, StartTicks: s.Born - 1, BootID: boot}, {PID: other.Process.Pid, StartTicks: s.Born, BootID: "another"},
	} {
		if err := service.WriteRun(p.dir, stale); err != nil {
			t.Fatal(err)
		}
		p.runVerb(1, "--status")
		p.runVerb(0, "--stop")
		if err := service.WriteRun(p.dir, stale); err != nil {
			t.Fatal(err)
		}
		p.runVerb(0, "--start")
		p.runVerb(0, "--stop")
		for _, cmd := range []*exec.Cmd{other, beside} {
			if s, err := procfs.ReadStat(cmd.Process.Pid); err != nil || !s.Live() {
				t.Errorf("process %d was stopped: %v", cmd.Process.Pid, err)
			}
		}
	}
}
