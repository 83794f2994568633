package pluginkit

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// shells are the shells that plugin.sh is tested with, where they are installed.
var shells = []string{"sh", "bash", "dash", "busybox sh"}

// inEachShell runs a test with each installed shell.
func inEachShell(t *testing.T, test func(t *testing.T, shell string)) {
	t.Helper()
	tested := map[string]bool{}
	for _, shell := range shells {
		program, arg, _ := strings.Cut(shell, " ")
		path, err := exec.LookPath(program)
		if err != nil {
			continue
		}
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			t.Fatal(err)
		}
		if tested[real] { // sh is one of the others
			continue
		}
		tested[real] = true
		t.Run(program, func(t *testing.T) { test(t, strings.TrimSpace(path+" "+arg)) })
	}
}

// newShellSample returns a plugin with the script body between the line that
// sources plugin.sh and the call of plugin_main.
func newShellSample(t testing.TB, shell, body string) *sample {
	t.Helper()
	dir := t.TempDir()
	library, err := os.ReadFile("plugin.sh")
	if err != nil {
		t.Fatal(err)
	}
	script := "#!" + shell + "\nset -eu\n. \"${0%/*}/plugin.sh\"\n" + body + "\nplugin_main \"$@\"\n"
	for name, content := range map[string]string{"plugin.sh": string(library), "run.sh": script} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return newSampleOf(t, filepath.Join(dir, "run.sh"), dir)
}

// sleeper is a daemon that leaves a file for each start of it.
const sleeper = `plugin_daemon() { : >"ran.$$"; exec sleep 1000; }`

// processesOf returns the processes whose environment names the plugin's folder.
func processesOf(t testing.TB, dir string) (pids []int) {
	t.Helper()
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range environs {
		b, err := os.ReadFile(path)
		if err != nil || !strings.Contains("\x00"+string(b), "\x00PLUGIN_DIR="+dir+"\x00") {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func TestShellDaemon(t *testing.T) {
	inEachShell(t, func(t *testing.T, shell string) {
		s := newShellSample(t, shell, sleeper)
		s.want("--status", 1)
		s.want("--install", 0)
		s.want("--start", 0)
		s.want("--status", 0)
		first := s.pid()
		s.want("--start", 0)
		if again := s.pid(); again != first {
			t.Fatalf("--start of a running plugin: pid %d became %d", first, again)
		}
		eventually(t, "a heartbeat is written", func() bool {
			b, err := os.ReadFile(filepath.Join(s.dir, "heartbeat"))
			n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
			return err == nil && time.Now().Unix()-n < 60
		})
		if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", first)); err != nil || string(name) != "sleep\n" {
			t.Errorf("the pid file names %q, %v; want the program of plugin_daemon", name, err)
		}

		if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "--status reports that the daemon was killed", func() bool { c, _ := s.run("--status"); return c == 1 })
		s.want("--start", 0)
		second := s.pid()
		if second == first {
			t.Fatal("the pid file still names the daemon that was killed")
		}
		s.want("--restart", 0)
		if s.pid() == second {
			t.Fatal("--restart left the old daemon")
		}
		s.want("--uninstall", 0)
		s.want("--status", 1)
		s.want("--stop", 0)
		if left := processesOf(t, s.dir); len(left) > 0 {
			t.Errorf("processes %v are left", left)
		}
	})
}

// The daemon has a session of its own and keeps no pipe and no lock.
func TestShellDaemonKeepsNothingOfItsStarter(t *testing.T) {
	inEachShell(t, func(t *testing.T, shell string) {
		s := newShellSample(t, shell, sleeper)
		wantNothingInherited(t, s)
		pid := s.pid()
		if session, err := syscall.Getpgid(pid); err != nil || session != pid {
			t.Errorf("process group %d, %v; want its own, %d", session, err, pid)
		}
		for _, pid := range processesOf(t, s.dir) {
			files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				target, err := os.Readlink(f)
				if err == nil && (len(filepath.Base(f)) == 1 && strings.HasPrefix(target, "pipe:") || strings.HasSuffix(target, "start.lock")) {
					t.Errorf("process %d keeps %s as %s", pid, target, filepath.Base(f))
				}
			}
		}
	})
}

func TestShellDaemonPrintsToTheLog(t *testing.T) {
	inEachShell(t, func(t *testing.T, shell string) {
		s := newShellSample(t, shell, `plugin_daemon() { echo hello; exec sleep 1000; }`)
		log, err := os.Create(filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		cmd := s.command("--start")
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(log.Name()); err != nil || string(b) != "hello\n" {
			t.Errorf("log: %q, %v", b, err)
		}
	})
}

func TestShellStartsAtOnceMakeOneDaemon(t *testing.T) {
	inEachShell(t, func(t *testing.T, shell string) {
		s := newShellSample(t, shell, sleeper)
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if out, err := s.command("--start").CombinedOutput(); err != nil {
					t.Errorf("--start: %v: %s", err, out)
				}
			})
		}
		all.Wait()
		if ran, err := filepath.Glob(filepath.Join(s.dir, "ran.*")); err != nil || len(ran) != 1 {
			t.Errorf("%d daemons ran: %v %v", len(ran), ran, err)
		}
	})
}

func TestShellStartFails(t *testing.T) {
	inEachShell(t, func(t *testing.T, shell string) {
		for name, c := range map[string]struct{ body, want string }{
			"the daemon exits":      {`plugin_daemon() { sleep 0.2; exit 7; }`, "daemon exited with code 7 before it was ready"},
			"the program is absent": {`plugin_daemon() { exec ./nothing; }`, "daemon exited with code 127 before it was ready"},
			"never ready":           {"PLUGIN_START_TIMEOUT=1\nplugin_ready() { false; }\nplugin_daemon() { sleep 1000; }", "daemon was not ready within 1s"},
			"no work":               {"", "defines neither plugin_daemon nor plugin_once"},
			"a bad setting":         {sleeper + "\nPLUGIN_STOP_TIMEOUT=2s", `must be whole seconds, not "2s"`},
			"octal":                 {sleeper + "\nPLUGIN_STOP_TIMEOUT=010", `must be whole seconds, not "010"`},
			"once fails":            {"plugin_once() { return 3; }", "plugin_once failed with exit code 3"},
		} {
			t.Run(name, func(t *testing.T) {
				s := newShellSample(t, shell, c.body)
				t.Parallel() // a script that is being written cannot be run
				if code, output := s.run("--start"); code != 1 || !strings.Contains(output, c.want) {
					t.Errorf("exit %d, %q; want 1, %q", code, output, c.want)
				}
				if left := processesOf(t, s.dir); len(left) > 0 {
					t.Errorf("processes %v are left", left)
				}
			})
		}
	})
}

// --start returns when plugin_ready succeeds.
func TestShellStartWaitsUntilReady(t *testing.T) {
	inEachShell(t, func(t *testing.T, shell string) {
		s := newShellSample(t, shell, `plugin_ready() { [ -e "$PLUGIN_DIR/open" ]; }
plugin_daemon() { sleep 1; : >open; exec sleep 1000; }`)
		s.want("--start", 0)
		if _, err := os.Stat(filepath.Join(s.dir, "open")); err != nil {
			t.Error("--start returned before plugin_ready succeeded")
		}
	})
}

// A start that is killed leaves one daemon at most, and the next start succeeds.
func TestShellStarterKilled(t *testing.T) {
	inEachShell(t, func(t *testing.T, shell string) {
		s := newShellSample(t, shell, sleeper+"\nplugin_ready() { [ -e \"$PLUGIN_DIR/open\" ]; }")
		starter := s.command("--start")
		if err := starter.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the pid file is written", func() bool { _, alive := readDaemon(s.dir); return alive })
		_ = starter.Process.Kill()
		_ = starter.Wait()
		s.want("--start", 0)
		eventually(t, "the daemon ran", func() bool {
			ran, err := filepath.Glob(filepath.Join(s.dir, "ran.*"))
			return err == nil && len(ran) == 1
		})
		s.want("--stop", 0)
		if left := processesOf(t, s.dir); len(left) > 0 {
			t.Errorf("processes %v are left", left)
		}
	})
}

// --stop sends TERM to all processes of the daemon, waits, and kills the rest.
func TestShellStop(t *testing.T) {
	inEachShell(t, func(t *testing.T, shell string) {
		for name, body := range map[string]string{
			"a program without exec": `plugin_daemon() { sh -c 'trap "sleep 0.3; : >clean; exit" TERM; : >ready; while :; do sleep 0.05; done'; }
plugin_ready() { [ -e "$PLUGIN_DIR/ready" ]; }`,
			"TERM is ignored": `PLUGIN_STOP_TIMEOUT=1
plugin_daemon() { trap '' TERM; : >clean; exec sleep 1000; }`,
			"children that ignore TERM": `PLUGIN_STOP_TIMEOUT=1
plugin_daemon() { (trap '' TERM; exec sleep 1000) & : >clean; exec sleep 1000; }`,
		} {
			t.Run(name, func(t *testing.T) {
				s := newShellSample(t, shell, body)
				t.Parallel()
				s.want("--start", 0)
				s.want("--stop", 0)
				s.want("--status", 1)
				if _, err := os.Stat(filepath.Join(s.dir, "clean")); err != nil {
					t.Error("the program was killed before it had time to exit")
				}
				if left := processesOf(t, s.dir); len(left) > 0 {
					t.Errorf("processes %v are left", left)
				}
			})
		}
	})
}

// When the daemon is killed, its children get TERM and are killed if need be, so
// that a restart does not wait for them.
func TestShellChildrenOfKilledDaemon(t *testing.T) {
	inEachShell(t, func(t *testing.T, shell string) {
		s := newShellSample(t, shell, `PLUGIN_STOP_TIMEOUT=1
plugin_daemon() { sleep 1000 & (trap '' TERM; exec sleep 1000) & exec sleep 1000; }`)
		s.want("--start", 0)
		if err := syscall.Kill(s.pid(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "no process is left", func() bool { return len(processesOf(t, s.dir)) == 0 })
	})
}

// A daemon that is not healthy writes no heartbeat, and none is written when
// the setting says so.
func TestShellNoHeartbeat(t *testing.T) {
	inEachShell(t, func(t *testing.T, shell string) {
		for name, body := range map[string]string{
			"not healthy": `plugin_healthy() { : >"asked.$$"; false; }`,
			"switched off": `PLUGIN_HEARTBEAT=0
plugin_ready() { : >"$PLUGIN_DIR/asked.1"; }`,
		} {
			t.Run(name, func(t *testing.T) {
				s := newShellSample(t, shell, body+"\n"+sleeper)
				s.want("--start", 0)
				eventually(t, "the check ran", func() bool {
					asked, err := filepath.Glob(filepath.Join(s.dir, "asked.*"))
					return err == nil && len(asked) == 1
				})
				s.want("--stop", 0)
				if _, err := os.Stat(filepath.Join(s.dir, "heartbeat")); !os.IsNotExist(err) {
					t.Errorf("a heartbeat was written (%v)", err)
				}
			})
		}
	})
}

func TestShellUpgradeStopsPreviousVersion(t *testing.T) {
	inEachShell(t, func(t *testing.T, shell string) {
		old, next := newShellSample(t, shell, sleeper), newShellSample(t, shell, sleeper)
		old.want("--start", 0)
		next.env = append(next.env, "PRE_PLUGIN_DIR="+old.dir)
		next.want("--upgrade", 0)
		old.want("--status", 1)
		next.want("--status", 0)
	})
}

func TestShellOnce(t *testing.T) {
	inEachShell(t, func(t *testing.T, shell string) {
		s := newShellSample(t, shell, `plugin_once() { : >done; }
plugin_uninstall() { [ ! -e veto ] && [ ! -e "$PLUGIN_DIR/veto" ]; }`)
		s.want("--status", 0)
		s.want("--start", 0)
		s.want("--upgrade", 0)
		s.want("--stop", 0)
		if _, err := os.Stat(filepath.Join(s.dir, "done")); err != nil {
			t.Error(err)
		}
		s.want("--uninstall", 0)
		if err := os.WriteFile(filepath.Join(s.dir, "veto"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s.want("--uninstall", 1)
		s.want("--dance", 2)
		s.want("--daemon", 1)
	})
}

// FuzzShellPidFile writes anything into the pid file: no content stops a
// process, is taken for a daemon, or makes the verbs print or leave anything.
func FuzzShellPidFile(f *testing.F) {
	me, _, err := identifyProcess(os.Getpid())
	if err != nil {
		f.Fatal(err)
	}
	earlier, otherBoot := me, me
	earlier.start--
	otherBoot.boot = "00000000-0000-0000-0000-000000000000"
	for _, seed := range []string{
		"", "\n", "hello", "0 0 " + me.boot, "-1 1 " + me.boot + "\n", "1\n", strconv.Itoa(me.pid) + "\n", earlier.String(), otherBoot.String(),
		"-" + me.String(), strings.TrimSpace(me.String()) + " more\n", "* * *\n", "$(touch hit) `touch hit` ; touch hit\n",
		"99999999999999999999 1 " + me.boot + "\n", "/../self 1 x\n", "1\x00 2 3\n", "0" + me.String(),
	} {
		f.Add(seed)
	}
	sample := newShellSample(f, "/bin/sh", sleeper)
	f.Fuzz(func(t *testing.T, content string) {
		s := *sample
		s.t = t
		if id, err := parseIdentity(content); err == nil && id.isAlive() {
			return // the one content that is a daemon
		}
		if err := os.WriteFile(pidFile(s.dir), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, output := s.run("--status"); code != 1 || output != "--status: not running\n" {
			t.Errorf("--status: exit %d, %q", code, output)
		}
		if code, output := s.run("--stop"); code != 0 || output != "" {
			t.Errorf("--stop: exit %d, %q", code, output)
		}
		err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && d.Name() != "run.sh" && d.Name() != "plugin.sh" && d.Name() != "daemon.pid" {
				t.Errorf("%s was made", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
