package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
)

// openTerminal returns both ends of a new pseudo-terminal.
func openTerminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	if err := unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	return ours, theirs
}

const terminalRoot = "TEST_TERMINAL_ROOT"

// TestForeground checks that with --experimental-foreground a plugin reads from the
// terminal, and that the caller gets it back afterwards (CL-17).
func TestForeground(t *testing.T) {
	if root := os.Getenv(terminalRoot); root != "" { // on the terminal
		code := run(t.Context(), invocation{
			args: []string{"-e", "-L", "-P", "asks", "--experimental-foreground"}, environ: []string{"SUPERVISOR_ROOT=" + root},
			executable: "/usr/bin/x", streams: streams{os.Stdin, os.Stdout, os.Stderr, os.Stdout, os.Stderr},
		})
		ours, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
		fmt.Printf("exit %d, back %t %v.\n", code, ours == unix.Getpgrp(), err)
		return
	}
	root := t.TempDir()
	installScript(t, root, "asks", "Once", "20", "#!/bin/bash\n[ -t 0 ] && read -r line && echo \"read $line\"\nexit 3\n")
	ours, theirs := openTerminal(t)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestForeground$")
	cmd.Env = append(os.Environ(), terminalRoot+"="+root)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.WriteString("typed\n"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	theirs.Close()
	b, err := io.ReadAll(ours)
	if text := string(b); !errors.Is(err, syscall.EIO) || !strings.Contains(text, "read typed") || !strings.Contains(text, "exit 3, back true <nil>.") {
		t.Errorf("error %v; text on the terminal: %s", err, text)
	}
}

// TestLeavesProcess checks that processes of a finished plugin's group keep running
// (CL-17).
func TestLeavesProcess(t *testing.T) {
	root := t.TempDir()
	installScript(t, root, "leaves", "Once", "20", "#!/bin/sh\nsleep 30 >/dev/null 2>&1 &\necho $!\n")
	code, stdout, stderr := runOnRoot(t, root, "-e", "--local", "-P", "leaves")
	var pid int
	if _, err := fmt.Sscan(stdout, &pid); code != 0 || err != nil {
		t.Fatalf("exit %d, %v; stderr %s", code, err, stderr)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("the process was killed: %v", err)
	}
}

// TestLockOfRun checks that a run that installed the plugin holds the name lock shared:
// others can run the plugin and none can remove it (CL-22).
func TestLockOfRun(t *testing.T) {
	h := newSamplesHost(t)
	s := &differenceHost{h, t, h.newRoot(t)}
	i, out := s.invocation(s.root, "-e", "-F", s.writeSample("waits", "Once", waitScript, nil)), createOutput(t, "stdout")
	i.in, i.out, i.err, i.stdout, i.stderr = out, out, out, out, out
	done := make(chan int)
	go func() { done <- run(t.Context(), i) }()
	waitFor(t, "the run", func() bool { return strings.Contains(readOutput(t, out), "begins") })
	for _, path := range []string{layout.NameLock(s.root, "waits"), layout.VersionLock(s.root, "waits", "1.0")} {
		release, waited, err := lock.Shared(t.Context(), path, nil)
		if err != nil || waited {
			t.Fatalf("%s: waited %t, %v", filepath.Base(path), waited, err)
		}
		release()
	}
	s.expectExit(exitLock, "-r", "-P", "waits", "--fetchTimeout", "1")
	s.continueScript("waits")
	if code := <-done; code != 0 {
		t.Errorf("exit %d", code)
	}
	s.expectExit(0, "-r", "-P", "waits")
}

// TestLockInstalledDetectsChange checks that a plugin is not run when it was removed or
// replaced between the two locks (CL-22).
func TestLockInstalledDetectsChange(t *testing.T) {
	h := newSamplesHost(t)
	root := h.newRoot(t, "argy_2.0.zip")
	m, err := newManager(options{}, invocation{environ: []string{"SUPERVISOR_ROOT=" + root}})
	if err != nil {
		t.Fatal(err)
	}
	p := readRecord(t, root, "argy").Plugin()
	release, err := m.lockInstalled(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	release()
	for name, change := range map[string]func(){
		"replaced": func() { p.Version = "1.0" },
		"removed":  func() { p.Name = "gone" },
	} {
		change()
		if _, err := m.lockInstalled(t.Context(), p); err == nil {
			t.Errorf("%s: no error", name)
		} else if code, _ := exitCode(err); code != exitNotFound {
			t.Errorf("%s: %v", name, err)
		}
		if release, _, err := lock.Exclusive(t.Context(), layout.NameLock(root, p.Name), nil); err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			release()
		}
	}
}
