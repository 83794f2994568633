package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"pluginsupervisor/internal/procfs"
)

// family is all processes that a test starts, their children included. They are found by a variable
// in their environment, also after they detach.
type family struct {
	t   *testing.T
	tag string
}

const familyKey = "PROCESS_FAMILY"

// newFamily kills the processes that the test leaves, and fails the test if it left any.
func newFamily(t *testing.T) family {
	f := family{t, fmt.Sprintf("%s=%s/%d/%d", familyKey, t.Name(), os.Getpid(), time.Now().UnixNano())}
	t.Cleanup(func() {
		if left := f.listAlive(); len(left) > 0 {
			t.Errorf("left behind: %d processes", len(left))
			f.killAll()
		}
	})
	return f
}

// command returns the command that runs a helper of this family.
func (f family) command(name string, args ...string) Command {
	f.t.Helper()
	path, err := os.Executable()
	if err != nil {
		f.t.Fatal(err)
	}
	return Command{Path: path, Args: args, Env: withHelper(append(os.Environ(), f.tag), name)}
}

// listAlive returns the pids of the live members.
func (f family) listAlive() []int {
	f.t.Helper()
	pids, err := procfs.PIDs()
	if err != nil {
		f.t.Fatal(err)
	}
	var alive []int
	for _, pid := range pids {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || !bytes.Contains(append(env, 0), append([]byte(f.tag), 0)) {
			continue
		}
		if s, err := procfs.ReadStat(pid); err == nil && s.Live() {
			alive = append(alive, pid)
		}
	}
	return alive
}

// awaitAlive waits until n members are alive.
func (f family) awaitAlive(n int) {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("%d processes alive", n), func() bool { return len(f.listAlive()) == n })
}

// killAll kills all members.
func (f family) killAll() {
	f.t.Helper()
	eventually(f.t, "family killed", func() bool {
		alive := f.listAlive()
		for _, pid := range alive {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(alive) == 0
	})
}

// checkNone fails the test if a member is alive.
func (f family) checkNone() {
	f.t.Helper()
	if alive := f.listAlive(); len(alive) > 0 {
		f.t.Errorf("%d processes are alive after Run returned", len(alive))
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within the time limit: %s", what)
		}
	}
}

// runInBackground runs the command in the background. end cancels it and returns the result.
func (f family) runInBackground(r *Runner, c Command) (end func() Result) {
	ctx, cancel := context.WithCancel(f.t.Context())
	results := make(chan Result, 1)
	go func() { results <- r.Run(ctx, c) }()
	return func() Result {
		f.t.Helper()
		cancel()
		select {
		case res := <-results:
			return res
		case <-time.After(time.Minute):
			f.t.Fatal("a cancelled command does not return")
			return Result{}
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func writeFile(t *testing.T, mode os.FileMode, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// countIgnoringSIGTERM returns the number of members that ignore SIGTERM.
func (f family) countIgnoringSIGTERM() int {
	n := 0
	for _, pid := range f.listAlive() {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, rest, _ := bytes.Cut(status, []byte("\nSigIgn:\t"))
		mask, _, _ := bytes.Cut(rest, []byte("\n"))
		bits, err := strconv.ParseUint(string(mask), 16, 64)
		if err == nil && bits&(1<<(syscall.SIGTERM-1)) != 0 {
			n++
		}
	}
	return n
}

// fileSize returns the size of a log, 0 if it does not exist.
func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
