package shim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/plugin"
)

// verbKey is the variable that makes the test binary the shim. A copy of the test binary
// named programName is the program.
const (
	verbKey     = "SHIM_TEST_VERB"
	programName = "program"
)

func TestMain(m *testing.M) {
	switch exe, _ := os.Executable(); {
	case filepath.Base(exe) == programName:
		runTestProgram(os.Args[1:])
	case os.Getenv(verbKey) != "":
		os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	code := m.Run()
	if programFile.dir != "" {
		_ = os.RemoveAll(programFile.dir)
	}
	os.Exit(code)
}

// runTestProgram is the program; its first argument selects the behaviour.
func runTestProgram(args []string) {
	fmt.Println("begins", strings.Join(args, " "))
	switch args[0] {
	case "http": // with an address; answers 500 while a file "sick" exists
		l, err := net.Listen("tcp", args[1])
		if err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
		panic(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if _, err := os.Stat("sick"); err == nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})))
	case "exit": // with a status, after a while
		time.Sleep(100 * time.Millisecond)
		code, _ := strconv.Atoi(args[1])
		fmt.Println("cannot open the thing")
		os.Exit(code)
	case "deaf": // ignores TERM, and so does a child in its own session
		signal.Ignore(syscall.SIGTERM)
		if len(args) == 1 {
			startChild(&syscall.SysProcAttr{Setsid: true}, nil, "deaf", "child")
		}
	case "family": // exits on TERM and leaves children: in its group, and without PLUGIN_DIR in a new session
		startChild(nil, os.Environ(), "idle")
		startChild(&syscall.SysProcAttr{Setsid: true}, []string{"A=b"}, "idle")
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		<-terminated
		os.Exit(0)
	case "background": // puts itself in the background
		startChild(&syscall.SysProcAttr{Setsid: true}, os.Environ(), args[1:]...)
		os.Exit(0)
	case "renamed": // executes itself under another name
		if len(args) == 1 {
			exe, _ := os.Executable()
			panic(syscall.Exec(exe, []string{"another", "renamed", "done"}, os.Environ()))
		}
		_ = unix.Prctl(unix.PR_SET_NAME, uintptr(0), 0, 0, 0)
		_ = os.WriteFile("/proc/self/comm", []byte("another"), 0)
	case "closed":
		os.Stdin.Close()
		os.Stdout.Close()
		os.Stderr.Close()
	case "facts":
		printFacts()
	case "flood":
		for n := 0; ; n++ {
			fmt.Println(n, strings.Repeat("x", 1000))
		}
	}
	select {}
}

func startChild(attr *syscall.SysProcAttr, env []string, args ...string) {
	exe, err := os.Executable()
	if err == nil {
		_, err = os.StartProcess(exe, append([]string{exe}, args...), &os.ProcAttr{
			Env: env, Files: []*os.File{nil, os.Stdout, os.Stderr}, Sys: attr,
		})
	}
	if err != nil {
		panic(err)
	}
}

// printFacts prints the environment, descriptors, signals and user of the program.
func printFacts() {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if n, _ := strconv.Atoi(e.Name()); n > 2 {
			if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(target, "anon_inode:") && !strings.HasPrefix(target, "/sys/fs/cgroup/") {
				fmt.Printf("descriptor %d: %s\n", n, target)
			}
		}
	}
	stdin, _ := os.Readlink("/proc/self/fd/0")
	dir, _ := os.Getwd()
	sid, _ := unix.Getsid(0)
	mask := unix.Umask(0)
	groups, _ := os.Getgroups()
	fmt.Printf("stdin %s, dir %s, own session %t, umask %o, uid %d, gid %d, groups %v\n", stdin, dir, sid == os.Getpid(), mask, os.Getuid(), os.Getgid(), groups)
	for _, name := range []string{"GREETING", "PLUGIN_DIR", "PRE_PLUGIN_DIR", "HOME", "USER"} {
		v, ok := os.LookupEnv(name)
		fmt.Printf("%s=%s %t\n", name, v, ok)
	}
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "SigIgn:") {
			fmt.Print(line)
		}
	}
	fmt.Println("that is all")
}

// programFile is the copy of the test binary, made once.
var programFile struct {
	once sync.Once
	dir  string
}

func programPath(t testing.TB) string {
	t.Helper()
	programFile.once.Do(func() {
		dir, err := os.MkdirTemp("", "shim-program-")
		if err != nil {
			t.Fatal(err)
		}
		programFile.dir = dir
		in, err := os.Open(os.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		out, err := os.OpenFile(filepath.Join(dir, programName), os.O_CREATE|os.O_WRONLY, 0o755)
		if err == nil {
			_, err = io.Copy(out, in)
		}
		if err := errors.Join(err, out.Close()); err != nil {
			t.Fatal(err)
		}
	})
	return filepath.Join(programFile.dir, programName)
}

// testPackage is one unpacked package.
type testPackage struct {
	t   testing.TB
	dir string
	env []string
}

// newPackage returns an unpacked package with that service.yaml; PROGRAM in it stands for
// the program.
func newPackage(t testing.TB, yaml string) *testPackage {
	t.Helper()
	p := &testPackage{t: t, dir: t.TempDir()}
	p.linkProgram(programName)
	p.writeFile("service.yaml", strings.ReplaceAll(yaml, "PROGRAM", programName), 0o644)
	p.writeFile("config.json", `{"name": "p", "version": "1.0", "runPath": "plugin-shim", "pluginType": "Persist", "timeout": "60"}`, 0o644)
	t.Cleanup(func() {
		for _, pid := range p.findProcesses() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		p.waitFor("no process is left", func() bool { return len(p.findProcesses()) == 0 })
	})
	return p
}

// linkProgram adds the program to the package, as a link: each test has another path of
// the same content.
func (p *testPackage) linkProgram(name string) {
	p.t.Helper()
	if err := os.Link(programPath(p.t), filepath.Join(p.dir, name)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *testPackage) writeFile(name, text string, mode os.FileMode) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *testPackage) newCommand(verb string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	p.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], verb)
	cmd.Env = append(os.Environ(), verbKey+"=1", "PLUGIN_DIR="+p.dir, "PRE_PLUGIN_DIR=", "GORACE=atexit_sleep_ms=0")
	cmd.Env = append(cmd.Env, p.env...)
	return cmd
}

// runCommand returns the exit status and output of a verb. The output is a pipe, so it
// does not return while another process holds that open.
func (p *testPackage) runCommand(verb string) (code int, output string) {
	p.t.Helper()
	var out bytes.Buffer
	cmd := p.newCommand(verb)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); cmd.ProcessState == nil {
		p.t.Fatalf("%s: %v", verb, err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// runVerb runs a verb and checks its exit status, and that its output has all the words.
func (p *testPackage) runVerb(code int, verb string, words ...string) {
	p.t.Helper()
	got, output := p.runCommand(verb)
	if got != code {
		p.t.Fatalf("%s: exit %d, want %d; output:\n%s", verb, got, code, output)
	}
	for _, w := range words {
		if !strings.Contains(output, w) {
			p.t.Errorf("%s printed:\n%s\nwhich lacks %q", verb, output, w)
		}
	}
}

// findProcesses returns the live processes with the package's PLUGIN_DIR, or that execute a
// file of the package.
func (p *testPackage) findProcesses() []int {
	p.t.Helper()
	pids, err := procfs.PIDs()
	if err != nil {
		p.t.Fatal(err)
	}
	var found []int
	for _, pid := range pids {
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		dir, _ := procfs.Variable(pid, plugin.EnvDir)
		if s, err := procfs.ReadStat(pid); err == nil && s.Live() && (dir == p.dir || strings.HasPrefix(exe, p.dir+"/")) {
			found = append(found, pid)
		}
	}
	return found
}

// recordedPID returns the process of the run record, which must be alive.
func (p *testPackage) recordedPID() int {
	p.t.Helper()
	r, err := service.ReadRun(p.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	if s, err := procfs.ReadStat(r.PID); err != nil || s.Born != r.StartTicks {
		p.t.Fatalf("process %d of the record: %+v, %v", r.PID, s, err)
	}
	return r.PID
}

func (p *testPackage) readLog() string {
	b, _ := os.ReadFile(filepath.Join(p.dir, ".service/output.log"))
	return string(b)
}

func (p *testPackage) waitFor(what string, is func() bool) {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("timeout of 20 s waiting until %s; log of the program:\n%s", what, p.readLog())
		}
	}
}

// freeAddress returns an address that no process listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
