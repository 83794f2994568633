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

// run stages and places the sample over the live version.
func run(ctx context.Context, i *install.Installer, source string) error {
	s, err := i.Stage(ctx, install.Request{Source: source})
	if err != nil {
		return err
	}
	_, err = s.Place(install.Replace)
	return errors.Join(err, s.Discard())
}

// wholeVersion: agent 1.0 is the old version or the new one, complete, and
// nothing else is there.
func wholeVersion(t *testing.T, root string) {
	t.Helper()
	got := strings.Join(tree(t, root), " ")
	if got != "plugin/agent/1.0/old" && got != "plugin/agent/1.0/.origin.json plugin/agent/1.0/bin/run plugin/agent/1.0/config.json" {
		t.Errorf("there is %s", got)
	}
}

// steps counts the steps of one run, answering each by its number from 1.
func steps(answer func(n int, name string) error) (step func(string) error, count *int) {
	count = new(int)
	return func(name string) error {
		*count++
		return answer(*count, name)
	}, count
}

// Stopped before any step, and unable to clean up, a run leaves what Sweep
// removes.
func TestCrashAtEveryStep(t *testing.T) {
	source := write(t, sample().zip(t))
	step, total := steps(func(int, string) error { return nil })
	if err := run(t.Context(), newInstaller(t, newRoot(t), func(c *install.Config) { c.Step = step }), source); err != nil {
		t.Fatal(err)
	}
	if *total < 15 {
		t.Fatalf("only %d steps", *total)
	}
	for at := 1; at <= *total; at++ {
		root, where := newRoot(t), ""
		step, _ := steps(func(n int, name string) error {
			if n == at {
				where = name
			}
			if n >= at {
				return errCrash
			}
			return nil
		})
		t.Run(fmt.Sprint("step ", at), func(t *testing.T) {
			err := run(t.Context(), newInstaller(t, root, func(c *install.Config) { c.Step = step }), source)
			if !errors.Is(err, errCrash) {
				t.Fatalf("at %s: %v", where, err)
			}
			if _, err := newInstaller(t, root, nil).Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := install.Recover(root, "agent"); err != nil {
				t.Fatal(err)
			}
			wholeVersion(t, root)
			if t.Failed() {
				t.Logf("stopped before %s", where)
			}
		})
	}
}

// A disk that is full at any one step is named, and nothing is left.
func TestFullAtEveryStep(t *testing.T) {
	source := write(t, sample().zip(t))
	for at, done := 1, false; !done; at++ {
		root := newRoot(t)
		done = true
		step, _ := steps(func(n int, name string) error {
			if n == at && name != "remove staging" { // to remove takes no room
				done = false
				return syscall.ENOSPC
			}
			return nil
		})
		err := run(t.Context(), newInstaller(t, root, func(c *install.Config) { c.Step = step }), source)
		var e *failure.Error
		if !done && (!errors.As(err, &e) || !e.DiskFull()) {
			t.Errorf("step %d: %v, want the disk to be full", at, err)
		}
		if !done {
			untouched(t, root)
		}
	}
}

// A real file system without room.
func TestRealFullDisk(t *testing.T) {
	root := newRoot(t)
	small := filepath.Join(root, "supervisor")
	if err := os.MkdirAll(small, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=64k"); err != nil {
		t.Logf("No file system can be mounted here (%v): TestFullAtEveryStep stands for it", err)
		return
	}
	defer unix.Unmount(small, unix.MNT_DETACH)
	body := make([]byte, 100<<10)
	for n := range body {
		body[n] = byte(n * n >> 7)
	}
	_, err := newInstaller(t, root, nil).Stage(t.Context(), install.Request{Source: write(t, sample().with("data", string(body)).zip(t))})
	var e *failure.Error
	if !errors.As(err, &e) || !e.DiskFull() || !strings.HasPrefix(err.Error(), "the disk is full") {
		t.Errorf("got %v, want the disk to be full", err)
	}
	untouched(t, root)
}

// Sweep leaves alone what is in use.
func TestSweepSparesTheLiving(t *testing.T) {
	root := newRoot(t)
	i := newInstaller(t, root, nil)
	if n, err := i.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("nothing to sweep: %d, %v", n, err)
	}
	s, err := i.Stage(t.Context(), install.Request{Source: write(t, sample().zip(t))})
	if err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(root, "supervisor", "staging", "dead", "package")
	if err := os.MkdirAll(dead, 0o700); err != nil {
		t.Fatal(err)
	}
	if n, err := newInstaller(t, root, nil).Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("swept %d, %v, want the dead one", n, err)
	}
	if _, err := s.Place(install.Replace); err != nil {
		t.Errorf("the living one was hurt: %v", err)
	}
	if err := s.Discard(); err != nil {
		t.Fatal(err)
	}
	wholeVersion(t, root)
}
