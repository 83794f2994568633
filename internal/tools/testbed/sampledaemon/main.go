// Command sampledaemon is a plugin without protection against second copies:
// `--start` starts a daemon, whether one runs or not. So a needless start by the
// supervisor is visible.
//
// The daemon writes the time of its start, in nanoseconds of the monotonic clock,
// into `born`. It adds its pid and this time to `births`, with the word "copy" if
// another daemon of the plugin runs at that moment. It writes heartbeats until
// it is stopped.
//
// The name of the plugin selects the behaviour: "flap…" exits by itself, "slow…"
// delays its verbs, and "hang…" hangs in one verb of five. With a file `calm` in
// the root, "flap…" and "hang…" behave well.
package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// heartbeatEvery is the time between two heartbeats, a little less than the
// interval of a minute in the record. The second heartbeat comes at a random time
// before that, so that many daemons do not write at the same time.
const heartbeatEvery = 55 * time.Second

func main() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // before anything else
	dir := os.Getenv("PLUGIN_DIR")
	if len(os.Args) != 2 || dir == "" {
		fail("usage: PLUGIN_DIR=… sampledaemon --start|--stop|--status|daemon")
	}
	switch os.Args[1] {
	case "--start":
		delayVerb(dir)
		exe, err := os.Executable()
		check(err)
		daemon := exec.Command(exe, "daemon")
		daemon.Stdout, daemon.Stderr = os.Stdout, os.Stderr
		daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		check(daemon.Start())
		delayVerb(dir)
		// The pid is written before `--start` returns, because `--status` reads it.
		check(writeNumber(dir, "pid", daemon.Process.Pid))
		delayVerb(dir)
	case "--stop":
		delayVerb(dir)
		if pid := findDaemon(dir); pid != 0 {
			check(syscall.Kill(pid, syscall.SIGTERM))
		}
	case "--status":
		delayVerb(dir)
		delayVerb(dir)
		if findDaemon(dir) == 0 {
			fail("not running")
		}
	case "daemon":
		check(writeNumber(dir, "born", int(now.Nano())))
		alone, err := lockAlone(dir)
		check(err)
		check(recordStart(dir, now.Nano(), alone))
		if isNamed(dir, "flap") {
			go exitSoon(dir)
		}
		next := time.NewTimer(rand.N(heartbeatEvery))
		term := make(chan os.Signal, 1)
		signal.Notify(term, syscall.SIGTERM)
		for {
			check(writeNumber(dir, "heartbeat", int(time.Now().Unix())))
			select {
			case <-next.C:
				next.Reset(heartbeatEvery)
			case <-term:
				return
			}
		}
	}
}

// isNamed reports whether the plugin's name begins with a word.
func isNamed(dir, word string) bool {
	return strings.HasPrefix(filepath.Base(filepath.Dir(dir)), word)
}

// isCalm reports whether the plugins of the root have to behave well.
func isCalm(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "..", "..", "..", "calm"))
	return err == nil
}

// delayVerb waits up to a third of a second if the plugin's name begins with
// "slow", and sometimes never returns if it begins with "hang".
func delayVerb(dir string) {
	switch {
	case isNamed(dir, "slow"):
		time.Sleep(time.Duration(rand.IntN(333)) * time.Millisecond)
	case isNamed(dir, "hang") && rand.IntN(10) == 0 && !isCalm(dir):
		for { // until it is killed
			time.Sleep(time.Hour)
		}
	}
}

// writeNumber writes a number atomically into a file of the plugin's folder.
func writeNumber(dir, name string, n int) error {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path+".new", strconv.AppendInt(nil, int64(n), 10), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// lockAlone takes the lock that a daemon holds while it runs, and reports whether
// it was free. The kernel releases it before the exit of the daemon is visible.
func lockAlone(dir string) (alone bool, err error) {
	fd, err := syscall.Open(filepath.Join(dir, "alone"), syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return false, err
	}
	err = syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// recordStart adds a start to the file `births`.
func recordStart(dir string, born int64, alone bool) error {
	f, err := os.OpenFile(filepath.Join(dir, "births"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	line := fmt.Sprintln(os.Getpid(), born)
	if !alone {
		line = fmt.Sprintln(os.Getpid(), born, "copy")
	}
	_, err = f.WriteString(line)
	return err
}

// exitSoon exits within about three seconds: with 3, by SIGKILL, or with 0.
func exitSoon(dir string) {
	time.Sleep(time.Duration(50+rand.IntN(3000)) * time.Millisecond)
	if isCalm(dir) {
		return
	}
	switch rand.IntN(3) {
	case 0:
		os.Exit(3)
	case 1:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	default:
		os.Exit(0)
	}
}

// findDaemon returns the pid of the daemon, 0 if it does not run.
func findDaemon(dir string) int {
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(string(b))
	if err != nil {
		return 0
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil || strings.Contains(string(stat), ") Z ") {
		return 0
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil || !strings.HasPrefix(exe, dir) {
		return 0
	}
	return pid
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "sampledaemon:", why)
	os.Exit(1)
}
