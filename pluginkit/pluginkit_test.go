package pluginkit

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestDaemon(t *testing.T) {
	s := newSample(t, "good")
	s.want("--status", 1)
	s.want("--start", 0)
	s.want("--status", 0)
	first := s.pid()
	s.want("--start", 0)
	if again := s.pid(); again != first {
		t.Fatalf("--start of a running plugin: pid %d became %d", first, again)
	}
	beat := func() int64 {
		b, err := os.ReadFile(filepath.Join(s.dir, "heartbeat"))
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.ParseInt(string(b), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	last := beat()
	if age := time.Now().Unix() - last; age < 0 || age > 60 {
		t.Errorf("first heartbeat is %d s old", age)
	}
	eventually(t, "a newer heartbeat is written", func() bool { return beat() > last })

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
	s.want("--stop", 0) // not running: nothing to stop
}

func TestStartsAtOnceMakeOneDaemon(t *testing.T) {
	s := newSample(t, "good")
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if out, err := s.command("--start").CombinedOutput(); err != nil {
				t.Errorf("--start: %v: %s", err, out)
			}
		})
	}
	all.Wait()
	ran, err := filepath.Glob(filepath.Join(s.dir, "ran.*"))
	if err != nil || len(ran) != 1 {
		t.Fatalf("%d daemons ran: %v %v", len(ran), ran, err)
	}
}

func TestStalePidFile(t *testing.T) {
	me, _, err := identifyProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	earlier, otherBoot := me, me
	earlier.start--
	otherBoot.boot = "00000000-0000-0000-0000-000000000000"
	for name, content := range map[string]string{
		"the pid was reused":      earlier.String(),
		"written before a reboot": otherBoot.String(),
		"empty":                   "",
		"not a pid file":          "hello",
		"a pid alone":             strconv.Itoa(me.pid) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSample(t, "good")
			if err := os.WriteFile(pidFile(s.dir), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			s.want("--status", 1)
			s.want("--stop", 0) // does not stop this test, whose pid it is
			s.want("--start", 0)
			s.want("--status", 0)
		})
	}
}

func TestStopKillsDaemonThatIgnoresTerm(t *testing.T) {
	s := newSample(t, "deaf")
	s.want("--start", 0)
	s.want("--stop", 0)
	s.want("--status", 1)
}

func TestStartReportsThatDaemonFailed(t *testing.T) {
	s := newSample(t, "stillborn")
	code, output := s.run("--start")
	if code != 1 || !strings.Contains(output, "exited before it was ready") {
		t.Fatalf("exit %d, %q", code, output)
	}
}

// A start that is killed leaves no daemon behind, and the next start succeeds.
func TestStarterKilled(t *testing.T) {
	s := newSample(t, "slow")
	starter := s.command("--start")
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pid file is written", func() bool { _, alive := readDaemon(s.dir); return alive })
	orphan := s.pid()
	_ = starter.Process.Kill()
	_ = starter.Wait()
	if err := os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.want("--start", 0) // waits for the exit of the orphan, which holds the lock
	if s.pid() == orphan {
		t.Fatal("the daemon of the killed start became the plugin")
	}
}

// The daemon prints to a log file that its starter got. It closes a pipe, or
// run would not return.
func TestDaemonPrintsToTheLog(t *testing.T) {
	s := newSample(t, "stillborn")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := s.command("--start")
	cmd.Stdout, cmd.Stderr = log, log
	_ = cmd.Run()
	if b, err := os.ReadFile(log.Name()); err != nil || !strings.Contains(string(b), "no config") {
		t.Fatalf("log: %q, %v", b, err)
	}
}

func TestUpgradeStopsPreviousVersion(t *testing.T) {
	old, next := newSample(t, "good"), newSample(t, "good")
	old.want("--start", 0)
	next.env = append(next.env, "PRE_PLUGIN_DIR="+old.dir)
	next.want("--upgrade", 0)
	old.want("--status", 1)
	next.want("--status", 0)
}

func TestOnce(t *testing.T) {
	s := newSample(t, "once")
	s.want("--install", 0)
	s.want("--start", 0)
	s.want("--upgrade", 0)
	s.want("--status", 0)
	if _, err := os.Stat(filepath.Join(s.dir, "done")); err != nil {
		t.Fatal(err)
	}
}

func TestRunRefusesBadUse(t *testing.T) {
	once := func(context.Context, string) error { return nil }
	daemon := func(context.Context, *Daemon) error { return nil }
	for name, c := range map[string]struct {
		plugin Plugin
		args   []string
		code   int
		want   string
	}{
		"no verb":               {Plugin{Once: once}, nil, 2, "usage: --status"},
		"unknown verb":          {Plugin{Once: once}, []string{"--dance"}, 2, "unknown verb: --dance"},
		"no work":               {Plugin{}, []string{"--start"}, 1, "--start: the plugin needs either Daemon or Once"},
		"two kinds of work":     {Plugin{Daemon: daemon, Once: once}, []string{"--status"}, 1, "needs either Daemon or Once"},
		"daemon called by hand": {Plugin{Daemon: daemon}, []string{"--daemon"}, 1, "--daemon: only --start calls it"},
		"daemon of Once":        {Plugin{Once: once}, []string{"--daemon"}, 1, "a Once plugin has no daemon"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PLUGIN_DIR", t.TempDir())
			var stderr strings.Builder
			if code := Run(t.Context(), c.plugin, c.args, &stderr); code != c.code || !strings.Contains(stderr.String(), c.want) {
				t.Errorf("exit %d, %q; want %d, %q", code, stderr.String(), c.code, c.want)
			}
		})
	}
}
