package contract

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestLifeOfADaemon(t *testing.T) {
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
	eventually(t, "the heartbeat moves on", func() bool { return beat() > last })

	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the killed daemon is seen dead", func() bool { c, _ := s.run("--status"); return c == 1 })
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
	s.want("--stop", 0) // of what does not run
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

func TestStalePidIsNotBelieved(t *testing.T) {
	me, _, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	earlier, otherBoot := me, me
	earlier.start--
	otherBoot.boot = "00000000-0000-0000-0000-000000000000"
	for name, content := range map[string]string{
		"the pid went to another process": earlier.String(),
		"the machine was booted since":    otherBoot.String(),
		"empty":                           "",
		"not a pid file":                  "hello",
		"a pid alone":                     strconv.Itoa(me.pid) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSample(t, "good")
			if err := os.WriteFile(pidFile(s.dir), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			s.want("--status", 1)
			s.want("--stop", 0) // and we, whose pid it is, are still here
			s.want("--start", 0)
			s.want("--status", 0)
		})
	}
}

func TestStopEndsADaemonThatDoesNotListen(t *testing.T) {
	s := newSample(t, "deaf")
	s.want("--start", 0)
	s.want("--stop", 0)
	s.want("--status", 1)
}

func TestStartTellsThatTheDaemonFailed(t *testing.T) {
	s := newSample(t, "stillborn")
	code, output := s.run("--start")
	if code != 1 || !strings.Contains(output, "ended before it was up") {
		t.Fatalf("exit %d, %q", code, output)
	}
}

// A start that is killed half way leaves no daemon that nobody waited for, and
// the next start finds the way free.
func TestStarterKilledHalfWay(t *testing.T) {
	s := newSample(t, "slow")
	starter := s.command("--start")
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the daemon is there", func() bool { _, alive := recorded(s.dir); return alive })
	orphan := s.pid()
	_ = starter.Process.Kill()
	_ = starter.Wait()
	if err := os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.want("--start", 0) // waits for the orphan's end: it holds the lock
	if s.pid() == orphan {
		t.Fatal("the daemon whose start was given up became the plugin")
	}
}

// The samples print to a file they were given; a pipe they let go of, or run()
// would not have returned.
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

func TestUpgradeEndsTheVersionBefore(t *testing.T) {
	old, next := newSample(t, "good"), newSample(t, "good")
	old.want("--start", 0)
	next.env = []string{"PRE_PLUGIN_DIR=" + old.dir}
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

func TestUsage(t *testing.T) {
	s := newSample(t, "good")
	s.want("--dance", 2)
	if code := run(t.Context(), Plugin{}, nil, os.Stderr); code != 2 {
		t.Errorf("no verb: exit %d", code)
	}
}
