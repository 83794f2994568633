package config

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

const machineID = "0123456789abcdef0123456789abcdef"

func TestInstanceID(t *testing.T) {
	shape := regexp.MustCompile(`^[0-9a-f]{32}$`)
	id := func(root, configured, machine string) string {
		t.Helper()
		got, err := InstanceID(root, configured, machine)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	root, none := t.TempDir(), filepath.Join(t.TempDir(), "none")
	if got := id(root, "mine", none); got != "mine" {
		t.Errorf("configured: %q", got)
	}

	hashed := id(root, "", write(t, "machine-id", machineID+"\n"))
	if !shape.MatchString(hashed) || hashed == machineID {
		t.Errorf("hashed: %q", hashed)
	}
	if again := id(t.TempDir(), "", write(t, "machine-id", machineID)); again != hashed {
		t.Errorf("the same host is %q and %q", hashed, again)
	}
	if _, err := os.Stat(filepath.Join(root, "supervisor")); err == nil {
		t.Error("a file was made without need")
	}

	random := id(root, "", none)
	if !shape.MatchString(random) || random == hashed {
		t.Errorf("random: %q", random)
	}
	for name, text := range map[string]string{
		"uninitialized": "uninitialized\n", "zeros": "00000000000000000000000000000000", "short": "abc", "empty": "",
	} {
		if again := id(root, "", write(t, "machine-id", text)); again != random {
			t.Errorf("%s: not the one that is kept: %q, %q", name, again, random)
		}
	}
	if other := id(t.TempDir(), "", none); other == random {
		t.Error("another host has the same id")
	}

	kept := filepath.Join(root, "supervisor", "instance-id")
	if err := os.WriteFile(kept, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if renewed := id(root, "", none); !shape.MatchString(renewed) || renewed == random {
		t.Errorf("after damage: %q", renewed)
	}
}

// An id that cannot be kept is good for this life.
func TestInstanceIDCannotBeKept(t *testing.T) {
	root := write(t, "file", "")
	id, err := InstanceID(root, "", filepath.Join(root, "none"))
	if err == nil || len(id) != 32 {
		t.Errorf("id %q, error %v", id, err)
	}
}
