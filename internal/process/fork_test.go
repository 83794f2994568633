package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/hostfault"
	"pluginsupervisor/internal/testenv"
)

// hangExec lets every execve of the file hang until the test ends.
func hangExec(t *testing.T, path string) {
	t.Helper()
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC, unix.O_RDONLY|unix.O_CLOEXEC)
	if err == nil {
		t.Cleanup(func() { unix.Close(fd) }) // a waiting execve continues
		err = unix.FanotifyMark(fd, unix.FAN_MARK_ADD, unix.FAN_OPEN_EXEC_PERM, unix.AT_FDCWD, path)
	}
	if err != nil {
		testenv.SkipWithout(t, testenv.Fanotify, err)
	}
}

// EV-24: an execve that hangs delays no other command. It is killed at its deadline, and no process
// of it is left.
func TestHungExec(t *testing.T) {
	hung := writeFile(t, 0o755, "#!/bin/sh\n")
	hangExec(t, hung)
	tracker, err := NewTracker(TrackerOptions{Plugins: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer tracker.Close()
	r := NewRunner(Options{Tracker: tracker})
	const deadline = 2 * time.Second
	done := make(chan Result, 2)
	for _, daemon := range []bool{false, true} {
		go func() {
			done <- r.Run(t.Context(), Command{Path: hung, Plugin: fmt.Sprint("hung-", daemon), Daemon: daemon, Timeout: deadline})
		}()
	}
	cancelled, cancel := context.WithCancel(t.Context())
	time.AfterFunc(deadline/4, cancel)
	if res := r.Run(cancelled, Command{Path: hung}); !res.Cancelled || res.Started || res.Took > deadline {
		t.Errorf("cancelled: %+v", res)
	}
	for began := time.Now(); time.Since(began) < deadline/2; {
		runtime.GC()
		if res := r.Run(t.Context(), Command{Path: lookPath(t, "true"), Plugin: "fine"}); res.Err != nil || res.Took > deadline/2 {
			t.Fatalf("EV-24: another command took %v: %v", res.Took, res.Err)
		}
	}
	if len(done) > 0 {
		t.Fatal("no command hung")
	}
	for range cap(done) {
		res := <-done
		if !res.TimedOut || res.Started || !errors.Is(res.Err, hostfault.Err) || res.Took > deadline+killedWithin+time.Second {
			t.Errorf("EV-24: %+v", res)
		}
	}
	if left := listChildrenByParent(); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	if len(tracker.forks)+len(tracker.commands) > 0 {
		t.Errorf("still registered: forks %v, commands %v", tracker.forks, tracker.commands)
	}
}

// EV-30, EV-31: a child inherits nothing that its supervisor was started with: no descriptor,
// umask, signal disposition or mask, nice value, OOM score, and not the raised limit of open files.
func TestInheritsNothing(t *testing.T) {
	inherited, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer inherited.Close()
	cmd := exec.Command("/bin/sh", "-c", `ulimit -S -n 100; umask 077; trap '' HUP USR2 TTOU; exec "$0" "$@"`, os.Args[0], "runs-sh",
		`umask; ulimit -S -n; grep -E '^Sig(Blk|Ign)' /proc/self/status; cat /proc/self/oom_score_adj; nice; ls /proc/self/fd; env | grep -cE "^(NOTIFY_SOCKET|LISTEN_FDS|CREDENTIALS_DIRECTORY)="`)
	cmd.Env = append(os.Environ(), helperKey+"=inherits", "NOTIFY_SOCKET=@x", "LISTEN_FDS=1", "CREDENTIALS_DIRECTORY=/x")
	cmd.ExtraFiles = []*os.File{inherited}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := "0022 100 SigBlk: 0000000000000000 SigIgn: 0000000000000000 0 0 0 1 2 3 0" // 3 is that of ls
	if got := strings.Join(strings.Fields(string(out)), " "); got != want {
		t.Errorf("EV-30: got %s, want %s", got, want)
	}
}

// runInheriting is the helper of TestInheritsNothing. It sets these attributes on itself and runs a
// script.
func runInheriting(args []string) int {
	must(os.WriteFile("/proc/self/oom_score_adj", []byte("100"), 0))
	must(unix.Setpriority(unix.PRIO_PROCESS, 0, 5))
	runtime.LockOSThread()
	var mask unix.Sigset_t
	mask.Val[0] = 1<<(syscall.SIGUSR1-1) | 1<<(syscall.SIGTERM-1)
	must(unix.PthreadSigmask(unix.SIG_BLOCK, &mask, nil))
	signal.Ignore(syscall.SIGUSR1)
	res := NewRunner(Options{}).Run(context.Background(), Command{Path: "/bin/sh", Args: append([]string{"-c"}, args[1:]...)})
	fmt.Print(res.Output)
	if !res.Started {
		must(res.Err)
	}
	return 0 // grep exits 1 if it finds none
}

// A command whose executable cannot be run leaves no zombie.
func TestFailedForkIsReaped(t *testing.T) {
	r := NewRunner(Options{})
	for range 20 {
		if res := r.Run(t.Context(), Command{Path: writeFile(t, 0o755, "no program")}); !errors.Is(res.Err, syscall.ENOEXEC) {
			t.Fatal(res.Err)
		}
	}
	if left := listChildrenByParent(); len(left) > 0 {
		t.Errorf("children left: %v", left)
	}
	if dirs, err := filepath.Glob("/proc/self/fd/*"); err != nil || len(slices.Compact(dirs)) > 100 {
		t.Errorf("%d descriptors are open, error %v", len(dirs), err)
	}
}
