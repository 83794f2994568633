package lock

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// envHold makes this test binary hold the lock that it names, until it is killed.
const envHold = "LOCK_TEST_HOLD"

func TestMain(m *testing.M) {
	path := os.Getenv(envHold)
	if path == "" {
		os.Exit(m.Run())
	}
	if _, err := TryExclusive(path); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("held")
	time.Sleep(time.Minute) // killed long before
}

// holdElsewhere starts another process that holds the lock.
func holdElsewhere(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), envHold+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("holder printed %q, %v", line, err)
	}
	return cmd
}

// EV-15: the error of the second process has the pid of the first.
func TestHeldErrorHasPIDOfHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "supervisor", "supervisor.lock")
	other := holdElsewhere(t, path)

	_, err := TryExclusive(path)
	var held *HeldError
	if !errors.As(err, &held) || held.PID != other.Process.Pid || held.Path != path {
		t.Fatalf("got %v, want a HeldError with pid %d", err, other.Process.Pid)
	}

	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	other.Wait()
	release, err := TryExclusive(path) // the kernel released the lock
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("file holds %q", b)
	}
	release()
	release()
	if b, _ := os.ReadFile(path); len(b) != 0 {
		t.Errorf("after release the file holds %q", b)
	}
}

// RS-11: the lock of another program is free when that was killed.
func TestWaitForAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.lock")
	other := holdElsewhere(t, path)
	release, waited, err := Shared(withTimeout(t, 10*time.Second), path, func() { other.Process.Kill() })
	if err != nil || !waited {
		t.Fatalf("waited %t, error %v", waited, err)
	}
	release()
}

// EV-07: a child that was being forked when the holder was killed holds the lock until
// it executes its program.
func TestLockThatOutlivesItsHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "supervisor.lock")
	other := holdElsewhere(t, path)
	copied, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait()
	if err := unix.Flock(int(copied.Fd()), unix.LOCK_EX); err != nil { // as the child has it
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { copied.Close() })
	release, err := TryExclusive(path)
	if err != nil {
		t.Fatal(err)
	}
	release()
}
