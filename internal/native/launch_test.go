package native

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/internal/shim"
	"pluginsupervisor/plugin"
)

// shimKey is the variable that makes the test binary the shim.
const shimKey = "NATIVE_TEST_SHIM"

func TestMain(m *testing.M) {
	if os.Getenv(shimKey) != "" {
		os.Exit(shim.Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// installService unpacks and records a package with that service.yaml. Its shim is a
// script that counts its verbs in ROOT/calls.
func (b *fixture) installService(yaml string) (p plugin.Plugin, dir string) {
	b.t.Helper()
	dir = filepath.Join(b.root, "plugin", "p", "1.0")
	exe, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	for name, text := range map[string]string{
		"service.yaml": yaml,
		"config.json":  `{"name":"p","version":"1.0","runPath":"plugin-shim","pluginType":"Persist","timeout":"20"}`,
		plugin.Shim:    fmt.Sprintf("#!/bin/sh\necho \"$*\" >> %s/calls\n%s=1 GORACE=atexit_sleep_ms=0 exec %s \"$@\"\n", b.root, shimKey, exe),
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			b.t.Fatal(err)
		}
	}
	return b.putRecord(record.Record{Name: "p", Version: "1.0", RunPath: plugin.Shim, Type: plugin.Persist, Timeout: "20"}), dir
}

// withReaper runs a test with a Tracker that reaps, with cgroups and without.
func withReaper(t *testing.T, test func(t *testing.T, b *fixture)) {
	withEachWatchMethod(t, func(t *testing.T, b *fixture) {
		if err := b.tracker.Subreap(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // the other tests run without a reaper
			if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
				t.Error(err)
			}
		})
		test(t, b)
	})
}

const sleeper = "command: [/bin/sh, -c, 'echo \"$GREETING in $PWD of $PLUGIN_DIR\"; exec sleep 1000']\nenvironment: {GREETING: hello}\nready: {after: 20ms}\n"

// AP-06: the program is started without the shim, as the shim starts it.
func TestStartDirectly(t *testing.T) {
	withReaper(t, func(t *testing.T, b *fixture) {
		p, dir := b.installService(sleeper)
		got := b.StartDirectly(t.Context(), p)
		if got.Err != nil || got.Verb != plugin.VerbStart || len(got.Processes) != 1 || got.RunID == 0 {
			t.Fatalf("%+v, want one process", got)
		}
		if calls := b.readCalls(); len(calls) != 0 {
			t.Errorf("the shim was called: %q", calls)
		}
		stat, err := procfs.ReadStat(got.Processes[0].PID)
		if err != nil || stat.Session != got.Processes[0].PID {
			t.Errorf("process %+v, %v; want its own session", stat, err)
		}
		if run, err := service.ReadRun(dir); err != nil || run != got.Processes[0] {
			t.Errorf("recorded %+v, %v, want %+v", run, err, got.Processes[0])
		}
		log, err := os.ReadFile(filepath.Join(b.root, "supervisor/log/p.log"))
		if want := fmt.Sprintf("hello in %s of %s\n", dir, dir); err != nil || string(log) != want {
			t.Errorf("log %q, %v, want %q", log, err, want)
		}
		if probe := b.Check(t.Context(), p); probe.Status != plugin.StatusRunning {
			t.Errorf("--status: %+v", probe)
		}
		if again := b.StartDirectly(t.Context(), p); again.Err != nil || !again.Skipped || again.Processes[0] != got.Processes[0] {
			t.Errorf("a second start: %+v, want skipped", again)
		}
		if stopped := b.Stop(t.Context(), p); stopped.Err != nil || len(b.listProcesses()) != 0 {
			t.Errorf("stop: %+v, left %v", stopped, b.listProcesses())
		}
	})
}

// AP-06: after kill -9 the next start begins at once, and the fork and exec take no shim.
func TestStartDirectlyAfterKill(t *testing.T) {
	withReaper(t, func(t *testing.T, b *fixture) {
		p, _ := b.installService(sleeper)
		if got := b.Start(t.Context(), p); got.Err != nil || len(got.Processes) != 1 {
			t.Fatalf("%+v", got)
		} else if err := syscall.Kill(got.Processes[0].PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "its process is gone", func() bool { return len(b.listProcesses()) == 0 })
		began, calls := time.Now(), len(b.readCalls())
		got := b.StartDirectly(t.Context(), p)
		if got.Err != nil || len(got.Processes) != 1 || len(b.readCalls()) != calls {
			t.Errorf("%+v, calls %q", got, b.readCalls())
		}
		t.Logf("started in %v, of which 20ms until it is ready", time.Since(began))
	})
}

// AP-06: a program that does not become ready is stopped, with the words of the shim.
func TestStartDirectlyFails(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for name, tt := range map[string]struct {
		yaml, fails string
		calls       bool // the shim is called
	}{
		"exits":               {"command: [/bin/sh, -c, 'echo cannot open x.conf; exit 3']\n", "/bin/sh exited with status 3 before it was ready; last output: cannot open x.conf", false},
		"killed":              {"command: [/bin/sh, -c, 'kill -9 $$']\n", "/bin/sh was killed by SIGKILL before it was ready", false},
		"never ready":         {fmt.Sprintf("command: [/bin/sleep, 1000]\nready: {tcp: %q, timeout: 100ms}\n", closed.Addr()), "not ready within", false},
		"ready command fails": {"command: [/bin/sleep, 1000]\nready: {command: [/bin/sh, -c, 'exit 4'], timeout: 3s}\n", "exit 4", true},
		"no program":          {"command: [bin/absent]\n", "exit 1", true},
		"ignores TERM":        {"command: [/bin/sh, -c, 'trap \"\" TERM; setsid sleep 1000 & echo up; while :; do sleep 1; done']\nready: {command: [/bin/false], timeout: 3s}\nstop: {timeout: 100ms}\n", "/bin/false: exit 1; last output: up", true},
	} {
		t.Run(name, func(t *testing.T) {
			withReaper(t, func(t *testing.T, b *fixture) {
				p, dir := b.installService(tt.yaml)
				got := b.StartDirectly(t.Context(), p)
				if got.Err == nil || !strings.Contains(got.Err.Error(), tt.fails) || len(got.Processes) != 0 {
					t.Errorf("%+v, want %q", got, tt.fails)
				}
				if left := b.listProcesses(); len(left) != 0 {
					t.Errorf("left: %v", left)
				}
				if _, err := service.ReadRun(dir); err == nil {
					t.Error("a run is recorded")
				}
				if calls := b.readCalls(); len(calls) > 0 != tt.calls {
					t.Errorf("calls of the shim %q, want %t", calls, tt.calls)
				}
				if name == "no program" && !strings.Contains(got.Output, "bin/absent does not exist") {
					t.Errorf("output %q", got.Output)
				}
			})
		})
	}
}

// AP-06: without a Tracker that reaps, or for another plugin, `--start` is run.
func TestStartDirectlyIsStart(t *testing.T) {
	b := newFixture(t)
	p := b.install("q", "1.0", okScript, "20")
	if got := b.StartDirectly(t.Context(), p); got.Err != nil || strings.Join(b.readCalls(), ",") != "--start 1.0 from -" {
		t.Errorf("%+v, calls %q", got, b.readCalls())
	}
	p, _ = b.installService(sleeper)
	got := b.StartDirectly(t.Context(), p)
	if calls := b.readCalls(); got.Err != nil || calls[len(calls)-1] != "--start" {
		t.Errorf("%+v, calls %q", got, calls)
	}
	if got := b.Stop(t.Context(), p); got.Err != nil {
		t.Errorf("stop: %+v", got)
	}
}
