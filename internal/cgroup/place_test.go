package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpenNone(t *testing.T) {
	plain := t.TempDir()
	for name, c := range map[string]struct{ mounts, why string }{
		"nothing mounted": {"22 27 0:21 / /proc rw - proc proc rw\n", "none is mounted"},
		"v1 alone":        {"35 31 0:32 / /x rw - cgroup cgroup rw,memory\n", "none is mounted"},
		"mounted over":    {"41 31 0:38 / " + plain + " rw - cgroup2 cgroup2 rw\n", plain + ": another file system is mounted over it"},
		"not there":       {"41 31 0:38 / /no/such rw - cgroup2 cgroup2 rw\n", "/no/such: no such file or directory"},
	} {
		t.Run("EV-03 "+name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "mountinfo")
			if err := os.WriteFile(file, []byte(c.mounts), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(Options{Root: "/r", Mounts: file})
			if !errors.Is(err, ErrNone) || !strings.HasSuffix(err.Error(), ": "+c.why) {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, err := Open(Options{Root: "/r", Mounts: "/no/such"}); !errors.Is(err, ErrNone) {
		t.Errorf("unreadable mounts: %v, want ErrNone", err)
	}
	if _, err := Open(Options{}); err == nil {
		t.Error("opened without a root, want an error")
	}
}

func TestFolder(t *testing.T) {
	// printf %s /var/lib/supervisor | sha256sum
	const want = "supervisor-adbe3791"
	for _, root := range []string{"/var/lib/supervisor", "/var/lib/supervisor/"} {
		if got := folderName(root); got != want {
			t.Errorf("%s: %s", root, got)
		}
	}
	if folderName("/other") == want {
		t.Error("two supervisors share a folder")
	}
}

func TestOpenReadOnly(t *testing.T) {
	tree := openTree(t)
	t.Run("EV-03 mounted read-only", func(t *testing.T) {
		c := helperCommand("readonly", t.TempDir(), tree.place.mount.point)
		c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := string(out); !strings.HasPrefix(got, "true ") || !strings.Contains(got, "read-only file system") {
			t.Errorf("Open prints %s, want ErrNone and read-only file system", got)
		}
	})
}
