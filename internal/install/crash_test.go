package install_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/install/failure"
)

var errCrash = errors.New("crashed here")

// stageAndPlace stages and places the sample over the live version.
func stageAndPlace(ctx context.Context, i *install.Installer, source string) error {
	s, err := i.Stage(ctx, install.Request{Source: source})
	if err != nil {
		return err
	}
	_, err = s.Place(install.Replace)
	return errors.Join(err, s.Discard())
}

// checkWholeVersion checks that agent 1.0 is the complete old or new version, and
// that no other file exists.
func checkWholeVersion(t *testing.T, root string) {
	t.Helper()
	got := strings.Join(listFiles(t, root), " ")
	if got != "plugin/agent/1.0/old" && got != "plugin/agent/1.0/.origin.json plugin/agent/1.0/bin/run plugin/agent/1.0/config.json" {
		t.Errorf("files %s, want those of the old or the new version", got)
	}
}

// countSteps returns a step that counts its calls from 1 and returns the answer
// for each number.
func countSteps(answer func(n int, name string) error) (step func(string) error, count *int) {
	count = new(int)
	return func(name string) error {
		*count++
		return answer(*count, name)
	}, count
}

// Sweep and Recover clean up after a run that crashed before any of its steps.
func TestCrashAtEveryStep(t *testing.T) {
	source := writePackage(t, sample().zip(t))
	step, total := countSteps(func(int, string) error { return nil })
	if err := stageAndPlace(t.Context(), newInstaller(t, newRoot(t), func(c *install.Config) { c.Step = step }), source); err != nil {
		t.Fatal(err)
	}
	if *total < 15 {
		t.Fatalf("only %d steps", *total)
	}
	for at := 1; at <= *total; at++ {
		root, where := newRoot(t), ""
		step, _ := countSteps(func(n int, name string) error {
			if n == at {
				where = name
			}
			if n >= at {
				return errCrash
			}
			return nil
		})
		t.Run(fmt.Sprint("step ", at), func(t *testing.T) {
			err := stageAndPlace(t.Context(), newInstaller(t, root, func(c *install.Config) { c.Step = step }), source)
			if !errors.Is(err, errCrash) {
				t.Fatalf("at %s: %v", where, err)
			}
			if _, err := newInstaller(t, root, nil).Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := install.Recover(root, "agent"); err != nil {
				t.Fatal(err)
			}
			checkWholeVersion(t, root)
			if t.Failed() {
				t.Logf("stopped before %s", where)
			}
		})
	}
}

// A disk that is full at any step is named in the error, and no file is left.
func TestFullAtEveryStep(t *testing.T) {
	source := writePackage(t, sample().zip(t))
	for at, done := 1, false; !done; at++ {
		root := newRoot(t)
		done = true
		step, _ := countSteps(func(n int, name string) error {
			if n == at && name != "remove staging" { // removing needs no space
				done = false
				return syscall.ENOSPC
			}
			return nil
		})
		err := stageAndPlace(t.Context(), newInstaller(t, root, func(c *install.Config) { c.Step = step }), source)
		var e *failure.Error
		if !done && (!errors.As(err, &e) || !e.DiskFull()) {
			t.Errorf("step %d: %v, want the disk to be full", at, err)
		}
		if !done {
			checkUntouched(t, root)
		}
	}
}

// The same with a real file system that is full.
func TestRealFullDisk(t *testing.T) {
	root := newRoot(t)
	small := filepath.Join(root, "supervisor")
	if err := os.MkdirAll(small, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=64k"); err != nil {
		t.Logf("cannot mount a file system (%v): TestFullAtEveryStep covers the case", err)
		return
	}
	defer unix.Unmount(small, unix.MNT_DETACH)
	body := make([]byte, 100<<10)
	for n := range body {
		body[n] = byte(n * n >> 7)
	}
	_, err := newInstaller(t, root, nil).Stage(t.Context(), install.Request{Source: writePackage(t, sample().withFile("data", string(body)).zip(t))})
	var e *failure.Error
	if !errors.As(err, &e) || !e.DiskFull() || !strings.HasPrefix(err.Error(), "the disk is full") {
		t.Errorf("got %v, want the disk to be full", err)
	}
	checkUntouched(t, root)
}

// Sweep does not touch folders in use.
func TestSweepKeepsFoldersInUse(t *testing.T) {
	root := newRoot(t)
	i := newInstaller(t, root, nil)
	if n, err := i.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("empty staging: swept %d, %v, want 0", n, err)
	}
	s, err := i.Stage(t.Context(), install.Request{Source: writePackage(t, sample().zip(t))})
	if err != nil {
		t.Fatal(err)
	}
	unused := filepath.Join(root, "supervisor", "staging", "unused", "package")
	if err := os.MkdirAll(unused, 0o700); err != nil {
		t.Fatal(err)
	}
	if n, err := newInstaller(t, root, nil).Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("swept %d, %v, want 1, the unused folder", n, err)
	}
	if _, err := s.Place(install.Replace); err != nil {
		t.Errorf("place the package in use: %v", err)
	}
	if err := s.Discard(); err != nil {
		t.Fatal(err)
	}
	checkWholeVersion(t, root)
}
