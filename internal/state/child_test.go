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

// The environment that turns the test binary into a child: what it does, and
// with which state.
const (
	childEnv     = "STATE_TEST_CHILD"
	childPathEnv = "STATE_TEST_PATH"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "save":
		fail(saveForEver(os.Getenv(childPathEnv)))
	case "full":
		fail(saveOnFullDisk(os.Getenv(childPathEnv)))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(t *testing.T, what, path string) *exec.Cmd {
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

// saveForEver saves a number that grows, in two places, and prints each that
// was saved.
func saveForEver(path string) error {
	log, _ := quiet()
	s, m, err := open(path, log, 2<<10) // small, so that many deaths hit a fold
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

// SC-18, PL-15, EV-11: what was acknowledged before kill −9 is there
// afterwards, and a batch is there as a whole or not at all. EV-12: at most the
// entry that was being written is lost.
func TestKill(t *testing.T) {
	path := statePath(t)
	saved := 0
	for round := range 25 {
		cmd := child(t, "save", path)
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
		for lines.Scan() { // what it said before it died counts
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
			t.Fatalf("round %d: %d was saved, %d is remembered", round, saved, count)
		}
		if m.Entries < uint64(saved) || m.Entries > uint64(count) {
			t.Fatalf("round %d: %d was saved, the journal's last entry is %d", round, saved, m.Entries)
		}
		if m.Pending["a"].Version != strconv.Itoa(count) {
			t.Fatalf("round %d: half a batch: owed %s, restarts %d", round, m.Pending["a"].Version, count)
		}
	}
	if n := len(asides(t, path)); n != 0 {
		t.Errorf("%d files moved aside", n)
	}
}

// saveOnFullDisk saves until a limit on the size of files refuses it, goes on,
// lifts the limit and saves once more.
func saveOnFullDisk(path string) error {
	signal.Ignore(unix.SIGXFSZ)
	log, _ := quiet()
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
	refused := 0
	for n := range 200 {
		if s.Save(big(n)) != nil {
			refused++
		}
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	fmt.Println(refused)
	return s.Save(big(200))
}

func big(n int) plugin.Changes {
	return plugin.Changes{
		Events: map[uint64]*plugin.Event{uint64(n): {
			ID: "e", At: noon.Add(time.Duration(n)), Keywords: map[string]string{"k": strings.Repeat("x", 500)},
		}},
		Sync: n%2 == 0,
	}
}

// EV-11: the disk refuses to take more, for a while.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	cmd := child(t, "full", path)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	refused, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || refused < 20 || refused > 180 {
		t.Errorf("%d of 200 batches refused", refused)
	}
	if _, m := mustOpen(t, path); len(m.Events) != 201 {
		t.Errorf("%d events of 201 remembered", len(m.Events))
	}
}
