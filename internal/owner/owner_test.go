package owner

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pluginsupervisor/internal/testenv"
)

const envRoot = "OWNER_TEST_ROOT" // the root whose owner a child process becomes; it writes into it

func TestMain(m *testing.M) {
	root := os.Getenv(envRoot)
	if root == "" {
		os.Exit(m.Run())
	}
	err := BecomeOf(root)
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "made"), nil, 0o600)
	}
	if err == nil {
		_, err = os.ReadDir("/proc/self/fd")
	}
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
}

// EV-30: files that a command of root makes on another user's root belong to that user.
func TestBecomeOf(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.SkipWithout(t, testenv.Root, errors.New("not root"))
	}
	const nobody = 65534
	for name, owners := range map[string]struct{ root, own, want int }{
		"root's own":          {0, -1, 0},
		"another user's":      {nobody, -1, nobody},
		"used by another one": {0, nobody, nobody},
		"used by root":        {nobody, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			root, err := os.MkdirTemp("/tmp", "owner")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(root)
			err = errors.Join(os.Chmod(root, 0o777), os.Chown(root, owners.root, owners.root))
			if own := filepath.Join(root, "supervisor"); owners.own >= 0 {
				err = errors.Join(err, os.Mkdir(own, 0o755), os.Chown(own, owners.own, owners.own))
			}
			if err != nil {
				t.Fatal(err)
			}
			child := exec.CommandContext(t.Context(), os.Args[0])
			child.Env = append(os.Environ(), envRoot+"="+root)
			if out, err := child.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, strings.TrimSpace(string(out)))
			}
			if uid, _, _ := ownerOf(filepath.Join(root, "made")); uid != owners.want {
				t.Errorf("made by %d, want %d", uid, owners.want)
			}
		})
	}
	if err := BecomeOf(filepath.Join(t.TempDir(), "none")); err != nil || os.Geteuid() != 0 {
		t.Errorf("no installation: %v", err)
	}
}
