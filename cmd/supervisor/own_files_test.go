package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/testenv"
)

// testSupervisor is a supervisor process with its own root.
type testSupervisor struct {
	t    *testing.T
	root string
	cmd  *exec.Cmd
}

func startSupervisor(t *testing.T, root string) *testSupervisor {
	t.Helper()
	s := &testSupervisor{t: t, root: root, cmd: newCommand(root, "run", "--first-run-jitter", "0s", "--intervals-scan", "5s", "--avoid-window", "1s",
		"--control-plane-url", "http://127.0.0.1:1")}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		_ = os.Remove(layout.SecondSocket(root))
	})
	return s
}

func newCommand(root, name string, args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(os.Getenv("TEST_BIN"), "supervisor"), append([]string{name, "--root", root}, args...)...)
}

// waitForStatus waits until the output of status is good.
func (s *testSupervisor) waitForStatus(want string, good func(text string) bool) {
	s.t.Helper()
	var out []byte
	for end := time.Now().Add(timeLimit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		out, _ = newCommand(s.root, "status").CombinedOutput()
		if good(string(out)) {
			return
		}
	}
	s.t.Fatalf("status is not %s:\n%s", want, out)
}

// waitUntilWell waits until all own files exist and status shows no problem.
func (s *testSupervisor) waitUntilWell() {
	s.t.Helper()
	s.waitForStatus("without a problem", func(text string) bool {
		pid, _ := os.ReadFile(layout.SupervisorLock(s.root))
		_, err := os.Stat(layout.Socket(s.root))
		_, saved := os.Stat(layout.State(s.root))
		return !strings.Contains(text, "problem:") && strings.Contains(text, "no plugins are installed") &&
			errors.Join(err, saved) == nil && string(pid) == fmt.Sprintln(s.cmd.Process.Pid)
	})
}

// mountSmallRoot returns a new root on a file system of 1 MiB.
func mountSmallRoot(t *testing.T) string {
	t.Helper()
	root, err := os.MkdirTemp("/tmp", "sv")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("own-files-test", root, "tmpfs", 0, "size=1m"); err != nil {
		_ = os.Remove(root)
		testenv.SkipWithout(t, testenv.Mount, err)
	}
	t.Cleanup(func() {
		if err := errors.Join(unix.Unmount(root, unix.MNT_DETACH), os.Remove(root)); err != nil {
			t.Error(err)
		}
	})
	return root
}

// EV-28: on a root that is full or read-only the supervisor starts, reports the
// problem, is the only one (EV-15), and recovers when there is space.
func TestStartOnUnwritableRoot(t *testing.T) {
	for name, c := range map[string]struct {
		before bool // a supervisor has run on the root before
		deny   func(root string) error
		allow  func(root string) error
	}{
		"full":               {false, fillDisk, freeSpace},
		"full, not new":      {true, fillDisk, freeSpace},
		"read-only":          {false, func(root string) error { return remount(root, unix.MS_RDONLY) }, func(root string) error { return remount(root, 0) }},
		"read-only, not new": {true, func(root string) error { return remount(root, unix.MS_RDONLY) }, func(root string) error { return remount(root, 0) }},
		"no inodes":          {false, useAllInodes, freeSpace},
		"no inodes, not new": {true, useAllInodes, freeSpace},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := mountSmallRoot(t)
			if c.before {
				s := startSupervisor(t, root)
				s.waitUntilWell()
				if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				if err := s.cmd.Wait(); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.deny(root); err != nil {
				t.Fatal(err)
			}
			s := startSupervisor(t, root)
			s.waitForStatus("with a problem", func(text string) bool { return strings.Contains(text, "problem:") })
			out, err := newCommand(root, "run").CombinedOutput()
			if want := fmt.Sprintf("is locked by process %d", s.cmd.Process.Pid); err == nil || !strings.Contains(string(out), want) {
				t.Errorf("a second supervisor: %v, %s; want that the root is locked", err, out)
			}
			if err := c.allow(root); err != nil {
				t.Fatal(err)
			}
			s.waitUntilWell()
		})
	}
}

func remount(root string, flags uintptr) error {
	return unix.Mount("", root, "", unix.MS_REMOUNT|flags, "")
}

func fillDisk(root string) error {
	err := os.WriteFile(filepath.Join(root, "ballast"), make([]byte, 2<<20), 0o600)
	if errors.Is(err, unix.ENOSPC) {
		return nil
	}
	return fmt.Errorf("not full: %w", err)
}

func freeSpace(root string) error {
	return errors.Join(os.RemoveAll(filepath.Join(root, "ballast")), unix.Mount("", root, "", unix.MS_REMOUNT, "nr_inodes=0"))
}

// useAllInodes creates files until no inode is free.
func useAllInodes(root string) error {
	if err := os.Mkdir(filepath.Join(root, "ballast"), 0o700); err != nil {
		return err
	}
	if err := unix.Mount("", root, "", unix.MS_REMOUNT, "nr_inodes=100"); err != nil {
		return err
	}
	for n := range 200 {
		if err := os.WriteFile(filepath.Join(root, "ballast", fmt.Sprint(n)), nil, 0o600); errors.Is(err, unix.ENOSPC) {
			return nil
		}
	}
	return errors.New("inodes are still free")
}

// EV-29: a file that another program removes is made again, and the lock is held all
// the time.
func TestOwnFilesRemoved(t *testing.T) {
	t.Parallel()
	root, err := os.MkdirTemp("/tmp", "sv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	s := startSupervisor(t, root)
	s.waitUntilWell()
	for _, path := range []string{layout.Socket(root), layout.SupervisorLock(root), layout.State(root), layout.Supervisor(root)} {
		// The supervisor may write into its folder while that is removed.
		for end := time.Now().Add(timeLimit); os.RemoveAll(path) != nil; {
			if time.Now().After(end) {
				t.Fatalf("%s cannot be removed", path)
			}
		}
		out, err := newCommand(root, "run").CombinedOutput()
		if want := fmt.Sprintf("is locked by process %d", s.cmd.Process.Pid); err == nil || !strings.Contains(string(out), want) {
			t.Errorf("a second supervisor without %s: %v, %s; want that the root is locked", path, err, out)
		}
		s.waitUntilWell()
	}
}
