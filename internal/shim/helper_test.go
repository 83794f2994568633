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

// verbKey makes the test binary the shim. A copy of it that is named programName
// is the program.
const (
	verbKey     = "SHIM_TEST_VERB"
	programName = "program"
)

func TestMain(m *testing.M) {
	switch exe, _ := os.Executable(); {
	case filepath.Base(exe) == programName:
		program(os.Args[1:])
	case os.Getenv(verbKey) != "":
		os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	code := m.Run()
	if programFile.dir != "" {
		_ = os.RemoveAll(programFile.dir)
	}
	os.Exit(code)
}

// program is a program of several kinds, which the first argument names.
func program(args []string) {
	fmt.Println("begins", strings.Join(args, " "))
	switch args[0] {
	case "http": // address; answers 500 while there is a file sick
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
	case "deaf": // to TERM, with a child of its own session that is deaf too
		signal.Ignore(syscall.SIGTERM)
		if len(args) == 1 {
			begin(&syscall.SysProcAttr{Setsid: true}, nil, "deaf", "child")
		}
	case "family": // ends at TERM and leaves children: in its group, and without any environment in a session
		begin(nil, os.Environ(), "idle")
		begin(&syscall.SysProcAttr{Setsid: true}, []string{"A=b"}, "idle")
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		<-terminated
		os.Exit(0)
	case "background": // puts itself there
		begin(&syscall.SysProcAttr{Setsid: true}, os.Environ(), args[1:]...)
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
		facts()
	case "flood":
		for n := 0; ; n++ {
			fmt.Println(n, strings.Repeat("x", 1000))
		}
	}
	select {}
}

func begin(attr *syscall.SysProcAttr, env []string, args ...string) {
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

// facts prints what the program was started with.
func facts() {
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

// pack is one unpacked package.
type pack struct {
	t   testing.TB
	dir string
	env []string
}

// newPackage unpacks a package with that service.yaml, in which PROGRAM is the
// program.
func newPackage(t testing.TB, yaml string) *pack {
	t.Helper()
	p := &pack{t: t, dir: t.TempDir()}
	p.link(programName)
	p.write("service.yaml", strings.ReplaceAll(yaml, "PROGRAM", programName), 0o644)
	p.write("config.json", `{"name": "p", "version": "1.0", "runPath": "plugin-shim", "pluginType": "Persist", "timeout": "60"}`, 0o644)
	t.Cleanup(func() {
		for _, pid := range p.processes() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		p.eventually("all is gone", func() bool { return len(p.processes()) == 0 })
	})
	return p
}

// link puts the program into the package. It is a link, so that its path differs
// from test to test and its content does not.
func (p *pack) link(name string) {
	p.t.Helper()
	if err := os.Link(programPath(p.t), filepath.Join(p.dir, name)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pack) write(name, text string, mode os.FileMode) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pack) command(verb string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	p.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], verb)
	cmd.Env = append(os.Environ(), verbKey+"=1", "PLUGIN_DIR="+p.dir, "PRE_PLUGIN_DIR=", "GORACE=atexit_sleep_ms=0")
	cmd.Env = append(cmd.Env, p.env...)
	return cmd
}

// run returns the exit status of a verb and what it printed, through a pipe: it
// does not return while something else holds that open.
func (p *pack) run(verb string) (code int, output string) {
	p.t.Helper()
	var out bytes.Buffer
	cmd := p.command(verb)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); cmd.ProcessState == nil {
		p.t.Fatalf("%s: %v", verb, err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// want runs a verb and checks its exit status, and that it printed each of the words.
func (p *pack) want(code int, verb string, words ...string) {
	p.t.Helper()
	got, output := p.run(verb)
	if got != code {
		p.t.Fatalf("%s: exit %d, want %d; it printed:\n%s", verb, got, code, output)
	}
	for _, w := range words {
		if !strings.Contains(output, w) {
			p.t.Errorf("%s printed:\n%s\nwhich lacks %q", verb, output, w)
		}
	}
}

// processes returns the live processes with the package's PLUGIN_DIR, or that execute a file of
// the package.
func (p *pack) processes() []int {
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

// pid returns the process of the run record, which must be alive.
func (p *pack) pid() int {
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

func (p *pack) log() string {
	b, _ := os.ReadFile(filepath.Join(p.dir, ".service/output.log"))
	return string(b)
}

func (p *pack) eventually(what string, is func() bool) {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("not within 20 s: %s; its log:\n%s", what, p.log())
		}
	}
}

// freeAddress returns an address that nothing listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
