package shim

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/internal/testenv"
	"pluginsupervisor/plugin"
)

// quickService is a service.yaml whose program is ready soon.
const quickService = "command: [PROGRAM, idle]\nready: {after: 50ms}\nstop: {timeout: 5s}\n"

// AP-01, AP-02, AP-03: a program is started, checked, restarted and stopped.
func TestLifecycle(t *testing.T) {
	address := freeAddress(t)
	p := newPackage(t, fmt.Sprintf("command: [PROGRAM, http, %q]\nready: {http: 'http://%s/'}\nhealth: {http: 'http://%s/', interval: 100ms, failures: 2}\n", address, address, address))
	p.runVerb(1, "--status", "not running")
	p.runVerb(0, "--stop")
	p.runVerb(0, "--start")
	first := p.recordedPID()
	p.runVerb(0, "--status")
	p.runVerb(0, "--start")
	if again := p.recordedPID(); again != first || len(p.findProcesses()) != 1 {
		t.Errorf("a second start: process %d after %d, of %v", again, first, p.findProcesses())
	}
	p.writeFile("sick", "", 0o644)
	p.runVerb(1, "--status", fmt.Sprintf("process %d runs but is not healthy: GET http://%s/: answered 500 Internal Server Error", first, address))
	if err := os.Remove(filepath.Join(p.dir, "sick")); err != nil {
		t.Fatal(err)
	}
	p.runVerb(0, "--restart")
	second := p.recordedPID()
	if second == first {
		t.Error("restart started nothing")
	}
	if err := syscall.Kill(second, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.waitFor("the process has exited", func() bool {
		stat, err := procfs.ReadStat(second) // the files of /proc about its program are gone before it is
		return err != nil || !stat.Live()
	})
	p.runVerb(1, "--status", fmt.Sprintf("not running: process %d of the last start has exited", second))
	p.runVerb(0, "--start")
	p.runVerb(0, "--stop")
	if left := p.findProcesses(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	p.runVerb(1, "--status")
}

// AP-01: a running program that is not healthy, such as one stopped by SIGSTOP, is stopped
// and started.
func TestStartUnhealthy(t *testing.T) {
	address := freeAddress(t)
	p := newPackage(t, fmt.Sprintf("command: [PROGRAM, http, %q]\nready: {tcp: %q}\nhealth: {http: 'http://%s/', interval: 100ms, timeout: 200ms, failures: 2}\n", address, address, address))
	p.runVerb(0, "--start")
	first := p.recordedPID()
	if err := syscall.Kill(first, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.runVerb(1, "--status", "no answer in 200ms")
	p.runVerb(0, "--start", "runs but is not healthy, stopping it first")
	if second := p.recordedPID(); second == first || len(p.findProcesses()) != 1 {
		t.Errorf("%d after %d, of %v", second, first, p.findProcesses())
	}
	p.runVerb(0, "--status")
}

// AP-01: a program that was killed a moment ago, and still looks alive, is started again.
func TestStartAfterKill(t *testing.T) {
	p := newPackage(t, "command: [PROGRAM, idle]\nready: {after: 1ms}\n")
	p.runVerb(0, "--start")
	for range 20 {
		killed := p.recordedPID()
		if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		p.runVerb(0, "--start")
		if started := p.recordedPID(); started == killed {
			t.Fatalf("process %d was killed, and --start kept it", killed)
		}
	}
}

// AP-01: the environment, descriptors, signals and user of a started program.
func TestStartState(t *testing.T) {
	p := newPackage(t, "command: [PROGRAM, facts]\nready: {after: 100ms}\nenvironment: {GREETING: 'a b'}\nworking_dir: data\n")
	if err := os.Mkdir(filepath.Join(p.dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	extra, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	cmd := exec.Command("/bin/sh", "-c", `trap "" HUP INT; umask 077; exec "$@"`, "sh", os.Args[0], "--start")
	cmd.Env = p.newCommand("--start").Env
	cmd.ExtraFiles = []*os.File{extra}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p.waitFor("the program has printed", func() bool { return strings.Contains(p.readLog(), "that is all") })
	groups, _ := os.Getgroups()
	for _, want := range []string{
		fmt.Sprintf("stdin /dev/null, dir %s/data, own session true, umask 22, uid %d, gid %d, groups %v\n", p.dir, os.Getuid(), os.Getgid(), groups),
		"GREETING=a b true\n", "PLUGIN_DIR=" + p.dir + " true\n", "PRE_PLUGIN_DIR= true\n", "SigIgn:\t0000000000000000\n",
	} {
		if !strings.Contains(p.readLog(), want) {
			t.Errorf("lacks %q", want)
		}
	}
	if strings.Contains(p.readLog(), "descriptor") || t.Failed() {
		t.Errorf("output:\n%s", p.readLog())
	}
}

// AP-01: the output goes to the shim's standard output if that is a file, not a pipe.
func TestOutput(t *testing.T) {
	p := newPackage(t, quickService)
	file, err := os.Create(filepath.Join(t.TempDir(), "given"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := p.newCommand("--start")
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	p.waitFor("the program has printed", func() bool {
		b, err := os.ReadFile(file.Name())
		return err == nil && string(b) == "begins idle\n"
	})
	flags, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/1", p.recordedPID()))
	if err != nil || !strings.Contains(string(flags), "flags:\t0102001") && !strings.Contains(string(flags), "flags:\t02001") && !strings.Contains(string(flags), "flags:\t02002") && !strings.Contains(string(flags), "flags:\t0102002") {
		t.Errorf("not opened for append: %s, %v", flags, err)
	}
	if p.readLog() != "" {
		t.Errorf("its own log: %q", p.readLog())
	}
	p.runVerb(0, "--restart")
	p.waitFor("the program has printed", func() bool { return p.readLog() == "begins idle\n" })
}

// AP-01: each verb limits the log of a program that prints without an end.
func TestOutputBounded(t *testing.T) {
	p := newPackage(t, "command: [PROGRAM, flood]\nready: {after: 10ms}\nlog: {max_size: 64KiB, keep: 1}\n")
	p.runVerb(0, "--start")
	size := func() int64 {
		info, err := os.Stat(filepath.Join(p.dir, ".service/output.log"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	p.waitFor("the log is too large", func() bool { return size() > 4<<20 })
	if err := syscall.Kill(p.recordedPID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.runVerb(0, "--status")
	if got := size(); got > 128<<10 {
		t.Errorf("%d bytes", got)
	}
}

// AP-01: concurrent starts start one program.
func TestStartTwice(t *testing.T) {
	p := newPackage(t, quickService)
	var both sync.WaitGroup
	for range 4 {
		both.Go(func() { p.runVerb(0, "--start") })
	}
	both.Wait()
	if n := len(p.findProcesses()); n != 1 {
		t.Errorf("%d processes", n)
	}
	if strings.Count(p.readLog(), "begins") != 1 {
		t.Errorf("output:\n%s", p.readLog())
	}
}

// AP-01: without a record, as after a full disk, the running program is found and not
// started twice.
func TestRecordMissing(t *testing.T) {
	p := newPackage(t, quickService)
	p.runVerb(0, "--start")
	pid := p.recordedPID()
	for _, stale := range []*plugin.Process{nil, {PID: pid, StartTicks: 1, BootID: "another"}, {PID: 1, StartTicks: 1, BootID: "another"}} {
		if stale == nil {
			if err := os.RemoveAll(filepath.Join(p.dir, ".service")); err != nil {
				t.Fatal(err)
			}
		} else if err := service.WriteRun(p.dir, *stale); err != nil {
			t.Fatal(err)
		}
		p.runVerb(0, "--status")
		p.runVerb(0, "--start")
		if all := p.findProcesses(); len(all) != 1 || all[0] != pid {
			t.Fatalf("%v, was %d", all, pid)
		}
	}
	p.runVerb(0, "--stop")
	if left := p.findProcesses(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// AP-01, EV-30: no second program is started when the starter is killed at any moment.
func TestStarterKilled(t *testing.T) {
	p := newPackage(t, "command: [PROGRAM, idle]\nready: {after: 300ms}\nstop: {timeout: 5s}\n")
	for after := time.Duration(0); after < 40*time.Millisecond; after += 4 * time.Millisecond {
		cmd := p.newCommand("--start")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		p.runVerb(0, "--start")
		p.waitFor("the recorded process executes the program", func() bool {
			r, err := service.ReadRun(p.dir)
			exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", r.PID))
			return err == nil && filepath.Base(exe) == programName && slices.Contains(p.findProcesses(), r.PID)
		})
		if all := p.findProcesses(); len(all) != 1 {
			t.Fatalf("killed after %v: %v run, recorded is %d", after, all, p.recordedPID())
		}
		p.runVerb(0, "--stop")
	}
}

// AP-01, AP-12: a program that is not ready is stopped with all its children, and the
// error has the last line that it printed.
func TestNotReady(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	go func() { // another program answers there
		for {
			conn, err := taken.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1024))
			_, _ = conn.Write([]byte("HTTP/1.0 200 OK\r\n\r\n"))
			_ = conn.Close()
		}
	}()
	at, nothing := taken.Addr().String(), freeAddress(t)
	for name, tt := range map[string]struct {
		yaml string
		want []string
	}{
		"the port is taken": {
			fmt.Sprintf("command: [PROGRAM, http, %q]\nready: {tcp: %q}", at, at),
			[]string{"program exited with status 3 before it was ready", "is its port taken?", "last output: listen tcp " + at + ": bind: address already in use"},
		},
		"the port is taken, health": {
			fmt.Sprintf("command: [PROGRAM, http, %q]\nready: {http: 'http://%s/'}", at, at),
			[]string{"program exited with status 3 before it was ready", "last output: listen tcp " + at + ": bind: address already in use"},
		},
		"another port": {
			fmt.Sprintf("command: [PROGRAM, idle]\nready: {tcp: %q, timeout: 500ms}", nothing),
			[]string{"not ready within ", "connect to " + nothing + ": connect: connection refused; last output: begins idle"},
		},
		"dies": {"command: [PROGRAM, exit, 7]\nready: {command: [/bin/false]}", []string{"program exited with status 7 before it was ready; last output: cannot open the thing"}},
		"dies while ready is awaited": {
			"command: [PROGRAM, exit, 0]\nready: {after: 5s}", []string{"program exited with status 0 before it was ready; last output: cannot open the thing"},
		},
		"killed":  {"command: [/bin/sh, -c, 'kill -9 $$']\nready: {after: 5s}", []string{"/bin/sh was killed by SIGKILL before it was ready"}},
		"command": {"command: [PROGRAM, deaf]\nready: {command: [/bin/sh, -c, 'echo not yet; exit 3'], timeout: 300ms}\nstop: {timeout: 100ms}", []string{"not ready within ", "exit 3: not yet"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPackage(t, tt.yaml)
			p.runVerb(1, "--start", tt.want...)
			if left := p.findProcesses(); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			if _, err := service.ReadRun(p.dir); err == nil {
				t.Error("a record is left")
			}
			p.runVerb(1, "--status", "not running")
		})
	}
}

// AP-01: a start that is interrupted by SIGTERM leaves nothing.
func TestStartInterrupted(t *testing.T) {
	p := newPackage(t, "command: [PROGRAM, deaf]\nready: {after: 30s}\nstop: {timeout: 20s}\n")
	cmd := p.newCommand("--start")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.waitFor("the program and its child run", func() bool { return strings.Count(p.readLog(), "begins") == 2 })
	began := time.Now()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 || time.Since(began) > 15*time.Second {
		t.Errorf("exit %d after %v", code, time.Since(began))
	}
	if left := p.findProcesses(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// AP-12: the error has the cause why a program cannot run.
func TestCannotStart(t *testing.T) {
	for name, tt := range map[string]struct {
		yaml, script string
		mode         os.FileMode
		want         string
	}{
		"missing interpreter": {"command: [run.sh]", "#!/usr/bin/python9 -u\n", 0o755, "cannot start: run.sh: its interpreter /usr/bin/python9 does not exist on this host"},
		"carriage return":     {"command: [run.sh]", "#!/bin/sh\r\necho\r\n", 0o755, "its first line ends with a carriage return"},
		"missing loader":      {"command: [run.sh]", elfWithoutLoader, 0o755, "linked dynamically, and its loader does not exist"},
		"no format":           {"command: [run.sh]", "echo hello\n", 0o755, "is neither a program for this machine nor a script with a #! line"},
		"not executable":      {"command: [run.sh]", "#!/bin/sh\n", 0o644, "run.sh: is not executable (mode 0644)"},
		"missing":             {"command: [/usr/bin/not-there]", "", 0o644, "/usr/bin/not-there does not exist"},
		"folder":              {"command: [/usr]", "", 0o644, "/usr: is a folder"},
		"working folder":      {"command: [/bin/sleep, 9]\nworking_dir: not/there", "", 0o644, "working_dir not/there: "},
		"no such user":        {"command: [/bin/sleep, 9]\nuser: no-such-user", "", 0o644, `service.yaml:2: user: there is no user "no-such-user" on this host`},
		"bad service.yaml":    {"comand: [x]", "", 0o644, "service.yaml:1: comand: unknown key; did you mean command?"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPackage(t, tt.yaml)
			p.writeFile("run.sh", tt.script, tt.mode)
			p.runVerb(1, "--start", tt.want)
			if left := p.findProcesses(); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// elfWithoutLoader is the smallest ELF program of amd64 that names a loader.
var elfWithoutLoader = func() string {
	b := make([]byte, 64+56)
	copy(b, "\x7fELF\x02\x01\x01")
	b[16], b[18], b[20] = 2, 62, 1 // executable, amd64
	b[32], b[52], b[54], b[56] = 64, 64, 56, 1
	b[64] = 3 // PT_INTERP
	const at = 64 + 56
	b[72], b[96], b[104] = at, 20, 20
	return string(b) + "/lib/no-loader.so.1\x00"
}()

// AP-01, AP-12: the error names the folder or file that the user has no access to; a user
// with access gets its groups.
func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		testenv.SkipWithout(t, testenv.Root, "not root")
	}
	p := newPackage(t, "command: [PROGRAM, facts]\nuser: nobody\nready: {command: [/usr/bin/test, -w, /tmp]}\nhealth: {command: [/bin/sh, -c, 'test $(id -u) != 0']}")
	open := func(mode os.FileMode) string {
		dir := p.dir
		for range 2 { // the folders of the test are its own
			if err := os.Chmod(dir, mode); err != nil {
				t.Fatal(err)
			}
			dir = filepath.Dir(dir)
		}
		return filepath.Dir(p.dir)
	}
	closed := open(0o700)
	p.runVerb(1, "--start", fmt.Sprintf("cannot start: working_dir .: user nobody has no access to folder %s (mode 0700)", closed))
	open(0o755)
	if err := os.Chmod(programFile.dir+"/"+programName, 0o700); err != nil {
		t.Fatal(err)
	}
	p.runVerb(1, "--start", "cannot start: program: user nobody has no permission to execute it (mode 0700)")
	if err := os.Chmod(programFile.dir+"/"+programName, 0o755); err != nil {
		t.Fatal(err)
	}
	p.runVerb(0, "--start")
	p.runVerb(0, "--status")
	p.waitFor("the program has printed", func() bool { return strings.Contains(p.readLog(), "that is all") })
	if !strings.Contains(p.readLog(), "uid 65534, gid 65534, groups [65534]\n") || !strings.Contains(p.readLog(), "USER=nobody true\n") {
		t.Errorf("output:\n%s", p.readLog())
	}
	p.runVerb(0, "--stop")
}

// AP-12: a program starts and stops on a full disk.
func TestFullDisk(t *testing.T) {
	small := t.TempDir()
	if err := unix.Mount("small", small, "tmpfs", 0, "size=64k"); err != nil {
		testenv.SkipWithout(t, testenv.Mount, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(small, unix.MNT_DETACH) })
	p := newPackage(t, strings.ReplaceAll(quickService, "PROGRAM", programPath(t)))
	for _, name := range []string{"service.yaml", "config.json"} {
		b, err := os.ReadFile(filepath.Join(p.dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(small, name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	p.dir = small
	for n := 0; ; n++ { // also its inodes
		if err := os.WriteFile(filepath.Join(small, fmt.Sprint("f", n)), make([]byte, 4096), 0o644); err != nil {
			break
		}
	}
	for n := 0; ; n++ {
		if err := os.WriteFile(filepath.Join(small, fmt.Sprint("e", n)), nil, 0o644); err != nil || n > 10_000 {
			break
		}
	}
	p.runVerb(0, "--start")
	p.runVerb(0, "--status")
	p.runVerb(0, "--start")
	if n := len(p.findProcesses()); n != 1 {
		t.Errorf("%d processes", n)
	}
	p.runVerb(0, "--stop")
	if n := len(p.findProcesses()); n != 0 {
		t.Errorf("%d processes", n)
	}
}

// AP-01: without a supervisor that sets the limits, the start prints a warning.
func TestLimitsNotEnforced(t *testing.T) {
	p := newPackage(t, quickService+"limits: {pids: 10}\n")
	p.runVerb(0, "--start", "limits are not enforced: only the supervisor sets them")
}
