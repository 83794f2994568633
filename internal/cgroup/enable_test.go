package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/testenv"
)

// TestDelegated makes a cgroup for a service as a service manager does, marks it as
// delegated and starts a supervisor in it or in a subgroup.
func TestDelegated(t *testing.T) {
	tree := openTree(t)
	for name, c := range map[string]struct{ mark, sub, after string }{
		"EV-02 our own":                {"trusted.delegate", "", "supervisor"},
		"EV-02 our own, a user's":      {"user.delegate", "", "supervisor"},
		"EV-02 we are in its subgroup": {"trusted.delegate", "main", "main"},
	} {
		t.Run(name, func(t *testing.T) {
			controller := enableAnyController(t, tree.place.dir)
			service := makeService(t, tree.place.dir)
			if err := unix.Setxattr(service, c.mark, []byte("1"), 0); errors.Is(err, unix.EOPNOTSUPP) {
				testenv.SkipWithout(t, testenv.CgroupXattr, err)
			} else if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(runInCgroup(t, filepath.Join(service, c.sub), "open", t.TempDir(), controller), "\n")
			if lines[0] != service {
				t.Errorf("the place is %s, want %s", lines[0], service)
			}
			own, want := lines[len(lines)-1], c.after
			if controller == "" {
				want = c.sub
			}
			t.Run("a controller is handed down", func(t *testing.T) {
				if controller == "" {
					testenv.SkipWithout(t, testenv.Cgroup2Controllers, "it has none")
				}
				if lines[1] != "<nil>" || lines[2] != "true <nil>" {
					t.Errorf("handing down %s: %v", controller, lines[1:])
				}
			})
			if !strings.HasSuffix(own, filepath.Join("/", filepath.Base(service), want)) {
				t.Errorf("it is now in %s, want %s", own, want)
			}
		})
	}
	t.Run("EV-02 not delegated", func(t *testing.T) {
		lines, _, _ := strings.Cut(runInCgroup(t, makeService(t, tree.place.dir), "open", t.TempDir(), ""), "\n")
		if lines != tree.place.dir {
			t.Errorf("the place is %s, want %s", lines, tree.place.dir)
		}
	})
}

// makeService makes a cgroup for the time of the test. It is not a leaf, because the
// first fork recreates a leaf, and its attributes would be lost.
func makeService(t *testing.T, place string) string {
	t.Helper()
	dir, err := os.MkdirTemp(place, "test-*.service")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { waitUntil(t, dir+" is removed", func() bool { return removeTree(dir) == nil }) })
	return dir
}

// enableAnyController enables a controller in the place until the test ends, and
// returns it, "" if the place has none. Other test programs that do the same wait.
func enableAnyController(t *testing.T, place string) string {
	t.Helper()
	lock, err := os.Open(place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Close() })
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(place, "cgroup.controllers"))
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(b))
	if len(words) == 0 {
		return ""
	}
	controller := words[0]
	if had, err := fileContains(place, "cgroup.subtree_control", controller); err != nil {
		t.Fatal(err)
	} else if had {
		return controller
	}
	if err := writeControl(place, "cgroup.subtree_control", "+"+controller); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Another process may have enabled it further down, and then keeps it.
		if err := writeControl(place, "cgroup.subtree_control", "-"+controller); err != nil && !errors.Is(err, unix.EBUSY) {
			t.Error(err)
		}
	})
	return controller
}

// runInCgroup makes a cgroup, runs a helper in it, and returns its output.
func runInCgroup(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cgroup, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer cgroup.Close()
	c := helperCommand(name, args...)
	c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(cgroup.Fd())}
	b, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(b), "\n")
}
