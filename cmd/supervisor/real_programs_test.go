package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/internal/testenv"
)

// realProgram is a program of others that the tests wrap.
type realProgram struct {
	testenv.Program
	files func(port int) map[string]string
	// health and command are arguments of `plugin wrap`. The checks of the first must
	// fail while the program is stopped by SIGSTOP.
	health  func(port int) []string
	command func(path string, port int) []string
}

func realPrograms() []realProgram {
	http := func(path string) func(port int) []string {
		return func(port int) []string {
			url := fmt.Sprintf("http://127.0.0.1:%d%s", port, path)
			return []string{"--ready-http", url, "--health-http", url}
		}
	}
	return []realProgram{
		{
			Program: testenv.Program{Name: "node_exporter", Module: "github.com/prometheus/node_exporter@v1.9.1"},
			health:  http("/metrics"),
			command: func(path string, port int) []string {
				return []string{"--", path, fmt.Sprintf("--web.listen-address=127.0.0.1:%d", port)}
			},
		},
		{
			Program: testenv.Program{Name: "redis-server", Package: "redis-server"},
			files: func(port int) map[string]string {
				return map[string]string{"redis.conf": fmt.Sprintf("bind 127.0.0.1\nport %d\nsave \"\"\n", port)}
			},
			health: func(port int) []string { // the kernel accepts connections for a stopped process
				flags := []string{"--ready-tcp", fmt.Sprintf("127.0.0.1:%d", port)}
				for _, word := range []string{"/usr/bin/redis-cli", "-p", strconv.Itoa(port), "ping"} {
					flags = append(flags, "--health-command="+word)
				}
				return flags
			},
			command: func(path string, _ int) []string { return []string{"--host-command", "--", path, "redis.conf"} },
		},
		{
			Program: testenv.Program{Name: "nginx", Package: "nginx"},
			files: func(port int) map[string]string {
				return map[string]string{"nginx.conf": fmt.Sprintf(`user root;
daemon off;
worker_processes 2;
pid nginx.pid;
events {}
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server {
		listen 127.0.0.1:%d;
		return 200;
	}
}
`, port)}
			},
			health: http("/"),
			command: func(path string, _ int) []string {
				return []string{"--host-command", "--", path, "-e", "stderr", "-p", ".", "-c", "nginx.conf"}
			},
		},
	}
}

// TestRealPrograms wraps programs of others and runs them from installation to
// removal: under the supervisor, and by acs-plugin-manager alone (AP-13).
func TestRealPrograms(t *testing.T) {
	for _, p := range realPrograms() {
		t.Run(p.Name, func(t *testing.T) {
			path := p.Find(t)
			t.Parallel()
			h := newRealHost(t, p, path)
			h.run(0, "supervisor", "plugin", "check", h.good)
			t.Run("supervisor", func(t *testing.T) { h.with(t).runSupervised() })
			t.Run("acs-plugin-manager", func(t *testing.T) { h.with(t).runAlone() })
		})
	}
}

// realHost is a host with one real program as a plugin.
type realHost struct {
	t         *testing.T
	name      string
	dir       string // of the packages
	root      string
	address   string // of the program
	good, bad string // packages of 1.0 and of 2.0, which never becomes ready
}

func newRealHost(t *testing.T, p realProgram, path string) *realHost {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	h := &realHost{t: t, name: strings.ReplaceAll(p.Name, "_", "-"), dir: t.TempDir(), address: free.Addr().String()}
	h.good, h.bad = filepath.Join(h.dir, "good.zip"), filepath.Join(h.dir, "bad.zip")
	flags := []string{"--health-timeout", "2s", "--health-failures", "2", "--stop-timeout", "3s"}
	if p.files != nil {
		for name, text := range p.files(port) {
			if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			flags = append(flags, "--file", name)
		}
	}
	health, command := p.health(port), p.command(path, port)
	notReady := slices.Concat([]string{"--ready-tcp", "127.0.0.1:1", "--ready-timeout", "2s"}, health[2:])
	h.run(0, "supervisor", slices.Concat([]string{"plugin", "wrap", h.name, "--version", "1.0", "--output", h.good}, flags, health, command)...)
	h.run(0, "supervisor", slices.Concat([]string{"plugin", "wrap", h.name, "--version", "2.0", "--output", h.bad}, flags, notReady, command)...)
	return h
}

// with returns the host with an empty root for another test.
func (h *realHost) with(t *testing.T) *realHost {
	t.Helper()
	root, err := os.MkdirTemp("/tmp", "sv") // paths of sockets must be short
	if err != nil {
		t.Fatal(err)
	}
	other := *h
	other.t, other.root = t, filepath.Join(root, "root")
	t.Cleanup(func() {
		for _, version := range []string{"1.0", "2.0"} { // finds also processes that do not show their PLUGIN_DIR
			_ = exec.Command(filepath.Join(other.folder(version), "plugin-shim"), "--stop").Run()
		}
		killAll(root)
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	if err := os.MkdirAll(layout.Plugins(other.root), 0o755); err != nil {
		t.Fatal(err)
	}
	return &other
}

func (h *realHost) folder(version string) string { return layout.Version(h.root, h.name, version) }

func (h *realHost) newCommand(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(os.Getenv("TEST_BIN"), program), args...)
	cmd.Dir = h.dir
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0",
		"SUPERVISOR_ROOT="+h.root, "SUPERVISOR_CONTROL_PLANE_URL=http://127.0.0.1:1", "SUPERVISOR_FIRST_RUN_JITTER=0s", "SUPERVISOR_AVOID_WINDOW=0s",
		"SUPERVISOR_RESTART_STAGGER=0s", "SUPERVISOR_INTERVALS_SCAN=1s", "SUPERVISOR_UPGRADE_PROVE=500ms")
	return cmd
}

// run runs a command that must exit with the code, and returns what it prints.
func (h *realHost) run(code int, program string, args ...string) string {
	h.t.Helper()
	cmd := h.newCommand(program, args...)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() != code {
		h.t.Fatalf("%s %s: %v, want exit %d\n%s%s", program, strings.Join(args, " "), err, code, out, h.explain())
	}
	return string(out)
}

// explain returns what happened to the plugin, for the message of a failure.
func (h *realHost) explain() string {
	if _, err := os.Stat(h.folder("1.0")); err != nil {
		return ""
	}
	why, _ := h.newCommand("supervisor", "why", h.name).CombinedOutput()
	logs, _ := h.newCommand("supervisor", "logs", "-n", "30", h.name).CombinedOutput()
	return fmt.Sprintf("why:\n%slogs:\n%s", why, logs)
}

// pid returns the pid of the program of version 1.0, once it is another one than
// before and answers.
func (h *realHost) pid(before int) int {
	h.t.Helper()
	var pid int
	h.eventually(fmt.Sprintf("another process than %d answers at %s", before, h.address), func() error {
		run, err := service.ReadRun(h.folder("1.0"))
		if err == nil && run.PID == before {
			err = errors.New("none was started")
		}
		if err == nil {
			pid, err = run.PID, h.dial()
		}
		return err
	})
	return pid
}

func (h *realHost) dial() error {
	c, err := net.DialTimeout("tcp", h.address, time.Second)
	if err == nil {
		c.Close()
	}
	return err
}

func (h *realHost) eventually(what string, check func() error) {
	h.t.Helper()
	var err error
	for end := time.Now().Add(timeLimit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	h.t.Fatalf("not within %v: %s: %v\n%s", timeLimit, what, err, h.explain())
}

// signal sends a signal to the process, or to its whole group if pid is negative.
func (h *realHost) signal(pid int, sig syscall.Signal) {
	h.t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		h.t.Fatalf("signal %d: %v", pid, err)
	}
}

// checkGone fails the test if a process of the program is left.
func (h *realHost) checkGone() {
	h.t.Helper()
	if err := h.dial(); err == nil {
		h.t.Errorf("%s still answers", h.address)
	}
	if left := listProcesses(h.root); len(left) > 0 {
		h.t.Errorf("processes %v are left", left)
	}
}

// runSupervised runs the program under a supervisor (AP-13, AP-07).
func (h *realHost) runSupervised() {
	t := h.t
	sv := h.newCommand("supervisor", "run")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	sv.Stdout, sv.Stderr = log, log
	if err := sv.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- sv.Wait() }()
	defer func() {
		_ = sv.Process.Signal(syscall.SIGTERM)
		if err := <-exited; err != nil {
			t.Errorf("supervisor: %v", err)
		}
		if text, err := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("log of the supervisor: %s%v", text, err)
		}
	}()
	h.eventually("the supervisor answers", func() error { return h.newCommand("supervisor", "status").Run() })

	h.run(0, "supervisor", "install", h.good, "--wait")
	first := h.pid(0)
	h.signal(first, syscall.SIGKILL)
	second := h.pid(first)
	h.run(0, "supervisor", "wait", h.name, "--for=running", "--timeout=60s")
	h.signal(-second, syscall.SIGSTOP)
	third := h.pid(second)
	h.run(0, "supervisor", "wait", h.name, "--for=running", "--timeout=60s")
	if out := h.run(1, "supervisor", "install", h.bad, "--wait"); !strings.Contains(out, "2.0 rolled back to 1.0") {
		t.Errorf("upgrade to a version that never becomes ready: %s", out)
	}
	h.pid(third)
	h.run(0, "supervisor", "wait", h.name, "--for=running", "--timeout=60s")
	logs := h.run(0, "supervisor", "logs", "-n", "0", h.name)
	rest := logs
	for _, want := range []string{"--start of 1.0", "exited: ", "--start of 1.0", "exited: ", "--start of 1.0", "exited: ", "--start of 2.0", "--start of 1.0"} {
		_, after, ok := strings.Cut(rest, "Z "+want)
		if !ok {
			t.Errorf("%q is not marked in order:\n%s", want, logs)
			break
		}
		rest = after
	}
	h.run(0, "supervisor", "remove", h.name, "--wait")
	h.checkGone()
}

// runAlone runs the program by acs-plugin-manager, without a supervisor (AP-13).
func (h *realHost) runAlone() {
	do := func(code int, args ...string) string {
		h.t.Helper()
		return h.run(code, "acs-plugin-manager", args...)
	}
	checkStatus := func(want string) {
		h.t.Helper()
		if out := do(0, "--status"); !strings.Contains(out, `"status": "`+want+`"`) {
			h.t.Fatalf("%s, want %s", out, want)
		}
	}
	verb := func(v string) {
		h.t.Helper()
		do(0, "-e", "--local", "-P", h.name, "-p", v)
	}
	do(0, "-e", "-F", h.good, "-p", "--start")
	checkStatus("PERSIST_RUNNING")
	first := h.pid(0)
	h.signal(first, syscall.SIGKILL)
	h.eventually("the killed process is gone", func() error {
		if s, err := procfs.ReadStat(first); err == nil && s.Live() {
			return errors.New("it lives")
		}
		return nil
	})
	checkStatus("PERSIST_FAIL")
	verb("--start")
	checkStatus("PERSIST_RUNNING")
	second := h.pid(first)
	h.signal(-second, syscall.SIGSTOP)
	checkStatus("PERSIST_FAIL")
	verb("--restart")
	checkStatus("PERSIST_RUNNING")
	h.pid(second)
	verb("--stop")
	checkStatus("PERSIST_FAIL")
	h.checkGone()
	verb("--start")
	do(0, "-r", "-P", h.name)
	checkStatus("REMOVED")
	h.checkGone()
}
