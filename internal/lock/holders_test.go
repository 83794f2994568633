package lock

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// flockElsewhere holds a lock in another process until release is called.
func flockElsewhere(t *testing.T, path, how string) (pid int, release func()) {
	t.Helper()
	cmd := exec.Command("flock", "-o", how, path, "sh", "-c", "echo held; read -r line")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	release = func() { in.Close(); cmd.Wait() }
	t.Cleanup(release)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return cmd.Process.Pid, release
}

// EV-21: the holders of a lock are found without taking it; this process does not count.
func TestHolders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.lock")
	if got := Holders(path); got != nil {
		t.Errorf("no file: %v", got)
	}
	defer mustLock(t, Shared, path)()
	if got := Holders(path); got != nil {
		t.Errorf("this process alone: %v", got)
	}
	one, releaseOne := flockElsewhere(t, path, "-s")
	two, _ := flockElsewhere(t, path, "-s")
	want := []int{one, two}
	slices.Sort(want)
	if got := Holders(path); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	other := filepath.Join(t.TempDir(), "other.lock")
	flockElsewhere(t, other, "-x")
	releaseOne()
	if got := Holders(path); !slices.Equal(got, []int{two}) {
		t.Errorf("after one release: %v, want %d", got, two)
	}
}

// EV-21: holders of a lock and processes that wait for it are distinguished; other
// lines do not count.
func TestTable(t *testing.T) {
	table := Table{map[uint64][]int{}, map[uint64][]int{}}
	for range 2 { // the list is read twice
		table.add([]byte("1: FLOCK  ADVISORY  WRITE 11 08:01:77 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 12 08:01:77 0 EOF\n" +
			"2: POSIX  ADVISORY  WRITE 13 08:01:77 0 EOF\n3: FLOCK  ADVISORY  READ  14 00:2f:77 0 EOF\n4: FLOCK ADVISORY READ 15 08:01:177 0 EOF\n" +
			"5: FLOCK\n6: FLOCK A B -1 08:01:77 0 EOF\n7: FLOCK ADVISORY READ 16 77x 0 EOF\n8: ->\n"))
	}
	if got, want := fmt.Sprint(table.holders), "map[77:[11 14] 177:[15]]"; got != want {
		t.Errorf("holders %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(table.waiting), "map[77:[12]]"; got != want {
		t.Errorf("waiting %s, want %s", got, want)
	}
	for pid, want := range map[int]bool{os.Getpid(): false, 1 << 29: true} {
		if mayHaveOpen(pid, "no file of this name") != want {
			t.Errorf("pid %d: not %t", pid, want)
		}
	}
}

// EV-21: a process that waits for a lock does not hold it.
func TestIsAwaited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.lock")
	release := mustLock(t, Exclusive, path)
	if ReadTable().IsAwaited(path) {
		t.Error("IsAwaited is true, but no process waits")
	}
	cmd := exec.Command("flock", path, "true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !ReadTable().IsAwaited(path); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the waiting process is not found within 20s")
		}
	}
	if got := Holders(path); got != nil {
		t.Errorf("holders %v, want none", got)
	}
	release()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if ReadTable().IsAwaited(path) {
		t.Error("IsAwaited is true after the wait")
	}
}

// RS-11: an exclusive lock becomes a shared one; it may be lost by that.
func TestShare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.lock")
	h, _, err := Take(t.Context(), path, "", true, Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryPath(path, false, nil); err == nil {
		t.Fatal("shared beside exclusive")
	}
	if err := h.Share(); err != nil {
		t.Fatal(err)
	}
	mustLock(t, Shared, path)()
	if _, err := tryPath(path, true, nil); err == nil {
		t.Error("exclusive beside shared")
	}
	h.Release()
	h.Release()
	defer mustLock(t, Exclusive, path)()
	if err := h.Share(); err == nil {
		t.Error("a released lock was shared")
	}
}
