package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pluginsupervisor/internal/layout"
)

const (
	machineID = "0123456789abcdef0123456789abcdef"
	olderHash = "9c5a0f75e3fbb451edd4b227f3124513" // of machineID, by an older version
)

// readInstanceID returns the id of a root, which must be kept.
func readInstanceID(t *testing.T, root, machine string) string {
	t.Helper()
	return instanceOf(t, root, machine).ID
}

func instanceOf(t *testing.T, root, machine string) Instance {
	t.Helper()
	got, err := InstanceID(root, "", writeFile(t, "machine-id", machine))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(got.ID) || got.ID == machineID {
		t.Errorf("id %q", got.ID)
	}
	return got
}

func TestInstanceIDConfigured(t *testing.T) {
	root := t.TempDir()
	if got, err := InstanceID(root, "mine", MachineIDFile); got.ID != "mine" || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := os.Stat(layout.Supervisor(root)); err == nil {
		t.Error("a file was made without need")
	}
}

// F9: one root of one machine has one id, and no other has it.
func TestInstanceIDIsUnique(t *testing.T) {
	root := t.TempDir()
	id := readInstanceID(t, root, machineID)
	if again := readInstanceID(t, root, machineID+"\n"); again != id {
		t.Errorf("the same root is %q and %q", id, again)
	}
	if other := readInstanceID(t, t.TempDir(), machineID); other == id {
		t.Error("two roots of one machine have one id")
	}
	for name, text := range map[string]string{
		"uninitialized": "uninitialized\n", "zeros": "00000000000000000000000000000000", "short": "abc", "empty": "",
	} {
		if again := instanceOf(t, root, text); again.ID != id || again.Recreated {
			t.Errorf("%s: not the one that is kept: %+v", name, again)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	if again := readInstanceID(t, link, machineID); again != id {
		t.Error("the root has another id by another path")
	}
}

// F9: a machine that was cloned, and a root that was copied, has an id of its own.
func TestInstanceIDOfACopy(t *testing.T) {
	root := t.TempDir()
	id := readInstanceID(t, root, machineID)
	clone := instanceOf(t, root, strings.Repeat("ab", 16))
	if clone.ID == id || !clone.Recreated {
		t.Errorf("the clone is %+v", clone)
	}
	if again := instanceOf(t, root, strings.Repeat("ab", 16)); again.ID != clone.ID || again.Recreated {
		t.Errorf("the clone is %+v the next time", again)
	}
	other := t.TempDir()
	if err := os.CopyFS(filepath.Join(other, "copy"), os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	if beside := readInstanceID(t, filepath.Join(other, "copy"), strings.Repeat("ab", 16)); beside == clone.ID {
		t.Error("the copied root has the id of the first")
	}
	// An image that was prepared without a machine id.
	image := t.TempDir()
	prepared := readInstanceID(t, image, "")
	if booted := instanceOf(t, image, machineID); booted.ID == prepared || !booted.Recreated {
		t.Errorf("all machines of an image are %q", prepared)
	}
}

// F9: a root whose supervisor reported under the id of an older version keeps it.
func TestInstanceIDOfAnOlderVersion(t *testing.T) {
	older := func(file string, state bool) string {
		t.Helper()
		root := t.TempDir()
		if err := os.MkdirAll(layout.Supervisor(root), 0o755); err != nil {
			t.Fatal(err)
		}
		for path, content := range map[string]string{layout.InstanceID(root): file, layout.State(root): "x"} {
			if path == layout.State(root) && !state || content == "" {
				continue
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return root
	}
	random := strings.Repeat("12", 16)
	for name, test := range map[string]struct {
		root, machine, want string
	}{
		"the machine's":           {older("", true), machineID, olderHash},
		"the machine's, not used": {older(random, true), machineID, olderHash},
		"a random one":            {older(random+"\n", true), "", random},
	} {
		for range 2 {
			if got := instanceOf(t, test.root, test.machine); got.ID != test.want || got.Recreated {
				t.Errorf("%s: %+v, want %s", name, got, test.want)
			}
		}
	}
	if got := readInstanceID(t, older("", false), machineID); got == olderHash {
		t.Error("a root that never reported has the id of the machine")
	}
	if got := readInstanceID(t, older("damaged", false), ""); got == random {
		t.Errorf("after damage: %q", got)
	}
}

// An id that cannot be kept is good for this process.
func TestInstanceIDCannotBeKept(t *testing.T) {
	root := writeFile(t, "file", "")
	id, err := InstanceID(root, "", filepath.Join(root, "none"))
	if err == nil || len(id.ID) != 32 {
		t.Errorf("id %+v, error %v", id, err)
	}
}
