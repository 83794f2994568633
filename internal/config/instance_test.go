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

// readInstanceID returns the ID of a root, which must be saved.
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
		t.Errorf("ID %q, want 32 hex digits that are not the machine ID", got.ID)
	}
	return got
}

func TestInstanceIDConfigured(t *testing.T) {
	root := t.TempDir()
	if got, err := InstanceID(root, "mine", MachineIDFile); got.ID != "mine" || err != nil {
		t.Errorf("got %+v, %v, want the configured ID", got, err)
	}
	if _, err := os.Stat(layout.Supervisor(root)); err == nil {
		t.Error("the folder was created for a configured ID")
	}
}

// F9: one root of one machine has one ID, and no other root has it.
func TestInstanceIDIsUnique(t *testing.T) {
	root := t.TempDir()
	id := readInstanceID(t, root, machineID)
	if again := readInstanceID(t, root, machineID+"\n"); again != id {
		t.Errorf("the same root has the IDs %q and %q", id, again)
	}
	if other := readInstanceID(t, t.TempDir(), machineID); other == id {
		t.Error("two roots of one machine have the same ID")
	}
	for name, text := range map[string]string{
		"uninitialized": "uninitialized\n", "zeros": "00000000000000000000000000000000", "short": "abc", "empty": "",
	} {
		if again := instanceOf(t, root, text); again.ID != id || again.Recreated {
			t.Errorf("%s: got %+v, want the saved ID", name, again)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	if again := readInstanceID(t, link, machineID); again != id {
		t.Error("the root has another ID by a symbolic link")
	}
}

// F9: a cloned machine and a copied root have their own ID.
func TestInstanceIDOfACopy(t *testing.T) {
	root := t.TempDir()
	id := readInstanceID(t, root, machineID)
	clone := instanceOf(t, root, strings.Repeat("ab", 16))
	if clone.ID == id || !clone.Recreated {
		t.Errorf("cloned machine: got %+v, want another ID", clone)
	}
	if again := instanceOf(t, root, strings.Repeat("ab", 16)); again.ID != clone.ID || again.Recreated {
		t.Errorf("cloned machine, second time: got %+v, want the same ID", again)
	}
	other := t.TempDir()
	if err := os.CopyFS(filepath.Join(other, "copy"), os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	if beside := readInstanceID(t, filepath.Join(other, "copy"), strings.Repeat("ab", 16)); beside == clone.ID {
		t.Error("the copied root has the ID of the original")
	}
	// An image that was prepared without a machine ID.
	image := t.TempDir()
	prepared := readInstanceID(t, image, "")
	if booted := instanceOf(t, image, machineID); booted.ID == prepared || !booted.Recreated {
		t.Errorf("a machine of the image has its ID %q", prepared)
	}
}

// F9: a root whose supervisor reported under the ID of an older version keeps it.
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
		t.Error("a root that never reported has the ID of the older version")
	}
	if got := readInstanceID(t, older("damaged", false), ""); got == random {
		t.Errorf("damaged file: got its ID %q, want another", got)
	}
}

// An ID that cannot be saved is returned all the same.
func TestInstanceIDCannotBeSaved(t *testing.T) {
	root := writeFile(t, "file", "")
	id, err := InstanceID(root, "", filepath.Join(root, "none"))
	if err == nil || len(id.ID) != 32 {
		t.Errorf("got %+v, error %v; want an ID and an error", id, err)
	}
}
