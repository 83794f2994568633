// Command naive is a plugin that trusts its supervisor: `--start` starts a
// daemon, whether one runs or not, and leaves it to others that there is only
// one. The daemon writes its pid and when it began, in nanoseconds of the
// monotonic clock, into `born`, adds both to `births`, beats, and lives until
// it is ended. One whose plugin's name begins with "flap" ends by itself, in
// one way or another, unless there is a file `calm` in the root.
package main

import (
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

// beatEvery is how often the daemon beats: a little before its interval of a
// minute is over. Its second beat comes at any time before that, so that many
// daemons do not beat together.
const beatEvery = 55 * time.Second

func main() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // before anything else
	dir := os.Getenv("PLUGIN_DIR")
	if len(os.Args) != 2 || dir == "" {
		fail("usage: PLUGIN_DIR=… naive --start|--stop|--status|daemon")
	}
	switch os.Args[1] {
	case "--start":
		exe, err := os.Executable()
		check(err)
		daemon := exec.Command(exe, "daemon")
		daemon.Stdout, daemon.Stderr = os.Stdout, os.Stderr
		daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		check(daemon.Start())
		// The pid is told before `--start` ends, so that `--status` knows it.
		check(write(dir, "pid", daemon.Process.Pid))
	case "--stop":
		if pid := alive(dir); pid != 0 {
			check(syscall.Kill(pid, syscall.SIGTERM))
		}
	case "--status":
		if alive(dir) == 0 {
			fail("not running")
		}
	case "daemon":
		check(write(dir, "born", int(now.Nano())))
		check(note(dir, now.Nano()))
		if strings.HasPrefix(filepath.Base(filepath.Dir(dir)), "flap") {
			go flap(filepath.Join(dir, "..", "..", "..", "calm"))
		}
		beat := time.NewTimer(rand.N(beatEvery))
		term := make(chan os.Signal, 1)
		signal.Notify(term, syscall.SIGTERM)
		for {
			check(write(dir, "heartbeat", int(time.Now().Unix())))
			select {
			case <-beat.C:
				beat.Reset(beatEvery)
			case <-term:
				return
			}
		}
	}
}

// write writes a number into a file of the plugin's folder, all of it or nothing.
func write(dir, name string, n int) error {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path+".new", strconv.AppendInt(nil, int64(n), 10), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// note adds a birth to those there were.
func note(dir string, born int64) error {
	f, err := os.OpenFile(filepath.Join(dir, "births"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, os.Getpid(), born)
	return err
}

// flap ends the daemon within three seconds.
func flap(calm string) {
	time.Sleep(time.Duration(50+rand.IntN(3000)) * time.Millisecond)
	if _, err := os.Stat(calm); err == nil {
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

// alive is the daemon's pid, 0 if it does not run.
func alive(dir string) int {
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
	fmt.Fprintln(os.Stderr, "naive:", why)
	os.Exit(1)
}
