package state

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/plugin"
)

// Environment that turns the test binary into a child: its task and the path of
// the state.
const (
	childEnv     = "STATE_TEST_CHILD"
	childPathEnv = "STATE_TEST_PATH"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "save":
		exitOnError(saveUntilKilled(os.Getenv(childPathEnv)))
	case "full":
		exitOnError(saveOnFullDisk(os.Getenv(childPathEnv)))
	}
}

func exitOnError(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func childCommand(t *testing.T, what, path string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+what, childPathEnv+"="+path)
	cmd.Stderr = os.Stderr
	return cmd
}

// saveUntilKilled saves an increasing number in two places, and prints each saved
// number.
func saveUntilKilled(path string) error {
	log, _ := newTestLog()
	s, m, err := openFoldingAt(path, log, 2<<10) // small, so that many kills hit a fold
	if err != nil {
		return err
	}
	for n := m.Restarts["a"].Count + 1; ; n++ {
		err := s.Save(plugin.Changes{
			Pending:  map[string]*plugin.PendingReport{"a": {Name: "a", Version: strconv.Itoa(n), Since: noon}},
			Restarts: map[string]*plugin.RestartRecord{"a": {Count: n}},
			Entries:  entries(n, n),
			Sync:     n%20 == 0,
		})
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// SC-18, PL-15, EV-11: a batch that was saved before kill −9 is there afterwards,
// and each batch is there completely or not at all. EV-12: at most the entry that
// was being written is lost.
func TestKill(t *testing.T) {
	path := statePath(t)
	saved := 0
	for run := range 25 {
		cmd := childCommand(t, "save", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for left := 1 + rand.IntN(60); left > 0 && lines.Scan(); left-- {
			saved, err = strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // numbers printed before the kill count
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				saved = n
			}
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("child: %v", err)
		}
		s, m := mustOpen(t, path)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		count := m.Restarts["a"].Count
		if count < saved || count > saved+1 {
			t.Fatalf("run %d: read %d, want %d or one more", run, count, saved)
		}
		if m.Entries < uint64(saved) || m.Entries > uint64(count) {
			t.Fatalf("run %d: the journal's last entry is %d, want %d to %d", run, m.Entries, saved, count)
		}
		if m.Pending["a"].Version != strconv.Itoa(count) {
			t.Fatalf("run %d: half a batch: pending %s, restarts %d", run, m.Pending["a"].Version, count)
		}
	}
	if n := len(listAsides(t, path)); n != 0 {
		t.Errorf("%d files moved aside, want 0", n)
	}
}

// saveOnFullDisk saves beyond a limit on the size of files, lifts the limit and
// saves once more.
func saveOnFullDisk(path string) error {
	signal.Ignore(unix.SIGXFSZ)
	log, _ := newTestLog()
	s, _, err := Open(path, log)
	if err != nil {
		return err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 100_000, Max: limit.Max}); err != nil {
		return err
	}
	failed := 0
	for n := range 200 {
		if s.Save(bigChange(n)) != nil {
			failed++
		}
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	fmt.Println(failed)
	return s.Save(bigChange(200))
}

func bigChange(n int) plugin.Changes {
	return plugin.Changes{
		Events: map[uint64]*plugin.Event{uint64(n): {
			ID: "e", At: noon.Add(time.Duration(n)), Keywords: map[string]string{"k": strings.Repeat("x", 500)},
		}},
		Sync: n%2 == 0,
	}
}

// EV-11: the disk is full for a while.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	cmd := childCommand(t, "full", path)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	failed, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || failed < 20 || failed > 180 {
		t.Errorf("%d of 200 saves failed, want 20 to 180", failed)
	}
	if _, m := mustOpen(t, path); len(m.Events) != 201 {
		t.Errorf("read %d events, want 201", len(m.Events))
	}
}
