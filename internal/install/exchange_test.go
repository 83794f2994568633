package install_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/layout"
)

// kernels holds the results of renameat2 with a flag on several file systems.
var kernels = map[string]func(step string) error{
	"all flags": func(string) error { return nil },
	"EV-32 EINVAL, no flag": func(step string) error {
		return failFor(unix.EINVAL, step, "exchange", "rename")
	},
	"EV-32 ENOSYS, no renameat2": func(step string) error {
		return failFor(unix.ENOSYS, step, "exchange", "rename")
	},
	"EV-32 EXDEV, a lower layer": func(step string) error {
		return failFor(unix.EXDEV, step, "exchange", "rename folder aside", "hide folder aside", "hide package out of place")
	},
	"EV-32 EXDEV, another file system": func(step string) error {
		return failFor(unix.EXDEV, step, "exchange", "rename")
	},
}

func failFor(err error, step string, to ...string) error {
	for _, prefix := range to {
		if strings.HasPrefix(step, prefix) {
			return err
		}
	}
	return nil
}

// crashAt returns a step that returns the results of kernel, and errCrash from
// its n-th call on; 0 is never.
func crashAt(kernel func(string) error, n int, asked *[]string) failpoint.Step {
	return func(step string) error {
		*asked = append(*asked, step)
		if n > 0 && len(*asked) >= n {
			return errCrash
		}
		return kernel(step)
	}
}

// EV-32: on every file system Place works with and without an existing folder.
func TestPlaceOnEveryFileSystem(t *testing.T) {
	source := writePackage(t, sample().zip(t))
	for name, kernel := range kernels {
		for _, there := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				root := newRoot(t)
				if !there {
					os.RemoveAll(filepath.Join(root, "plugin"))
				}
				i := newInstaller(t, root, func(c *install.Config) { c.Step = kernel })
				s, err := i.Stage(t.Context(), install.Request{Source: source})
				if err != nil {
					t.Fatal(err)
				}
				_, err = s.Place(install.Refuse)
				if there {
					checkRefused(t, err, 238, "installed already")
					_, err = s.Place(install.Replace)
				}
				if err := errors.Join(err, s.Discard()); err != nil {
					t.Fatal(err)
				}
				checkNewVersion(t, root)
			})
		}
	}
}

func checkNewVersion(t *testing.T, root string) {
	t.Helper()
	const want = "plugin/agent/1.0/.origin.json plugin/agent/1.0/bin/run plugin/agent/1.0/config.json"
	if got := strings.Join(listFiles(t, root), " "); got != want {
		t.Errorf("files %s, want %s", got, want)
	}
}

// After a crash at any step of an exchange or of PutBack, a later PutBack
// restores the old folder.
func TestExchangeInterrupted(t *testing.T) {
	source := writePackage(t, sample().zip(t))
	for name, kernel := range kernels {
		t.Run(name, func(t *testing.T) {
			for first, done := 0, false; !done; first++ {
				root := newRoot(t)
				s, err := newInstaller(t, root, nil).Stage(t.Context(), install.Request{Source: source})
				if err != nil {
					t.Fatal(err)
				}
				var asked []string
				err = placeWithStep(s, crashAt(kernel, first+1, &asked))
				done = err == nil
				if !done && !errors.Is(err, errCrash) {
					t.Fatalf("step %d: %v", first, err)
				}
				id := s.StagingID()
				s.WithStep(nil)
				if err := s.Discard(); err != nil {
					t.Fatal(err)
				}
				var back []string
				err = install.PutBack(root, "agent", "1.0", id, crashAt(kernel, 1+first%7, &back))
				if err != nil && !errors.Is(err, errCrash) {
					t.Fatalf("put back: %v", err)
				}
				if err := install.PutBack(root, "agent", "1.0", id, kernel); err != nil {
					t.Errorf("put back: %v", err)
				}
				checkUntouched(t, root)
				if t.Failed() {
					t.Fatalf("placed: %q, put back: %q", asked, back)
				}
			}
		})
	}
}

// placeWithStep places a package with another step than its installer's.
func placeWithStep(s *install.Staged, step failpoint.Step) error {
	_, err := s.WithStep(step).Place(install.Keep)
	return err
}

// Recover restores a folder that was moved aside, and removes what a finished
// exchange left.
func TestRecover(t *testing.T) {
	root := newRoot(t)
	version, old := layout.Version(root, "agent", "1.0"), layout.Replaced(root, "agent")
	config := []byte(sample()["config.json"])
	if err := errors.Join(os.MkdirAll(filepath.Dir(old), 0o700), os.Rename(version, old), os.WriteFile(filepath.Join(old, "config.json"), config, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := install.Recover(root, "agent"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(listFiles(t, root), " "); got != "plugin/agent/1.0/config.json plugin/agent/1.0/old" {
		t.Errorf("files %s, want the old version", got)
	}
	if err := errors.Join(os.MkdirAll(old, 0o700), os.MkdirAll(layout.Arriving(root, "agent"), 0o700), install.Recover(root, "agent")); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(old)); len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A copied folder keeps modes, types and times.
func TestCopyKeepsAttributes(t *testing.T) {
	root := newRoot(t)
	version := layout.Version(root, "agent", "1.0")
	if err := errors.Join(
		os.Symlink("old", filepath.Join(version, "link")), unix.Mkfifo(filepath.Join(version, "fifo"), 0o600),
		os.Mkdir(filepath.Join(version, "bin"), 0o711), os.Chmod(filepath.Join(version, "old"), 0o750),
	); err != nil {
		t.Fatal(err)
	}
	attributes := func() (all []string) {
		for _, name := range []string{".", "bin", "fifo", "link", "old"} {
			info, err := os.Lstat(filepath.Join(version, name))
			if err != nil {
				t.Fatal(err)
			}
			attribute := info.Mode().String()
			if name == "old" {
				attribute += info.ModTime().String()
			}
			all = append(all, attribute)
		}
		return all
	}
	before := attributes()
	s, err := newInstaller(t, root, nil).Stage(t.Context(), install.Request{Source: writePackage(t, sample().zip(t))})
	if err != nil {
		t.Fatal(err)
	}
	kernel := kernels["EV-32 EXDEV, another file system"]
	if err := errors.Join(placeWithStep(s, kernel), s.Withdraw(), s.Discard()); err != nil {
		t.Fatal(err)
	}
	after := attributes()
	for i := range before {
		if before[i] != after[i] {
			t.Errorf("%s became %s", before[i], after[i])
		}
	}
}
