package config

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pluginsupervisor/internal/powerfail"
)

// A saved ID survives a power failure, also one at the first start of the root.
func TestInstanceIDOverPowerFailure(t *testing.T) {
	var id string
	recording := powerfail.Record(t, func(f powerfail.Folder) {
		f.Settle()
		machine := filepath.Join(t.TempDir(), "machine-id")
		if err := os.WriteFile(machine, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		made, err := InstanceID(filepath.Join(f.Path, "root"), "", machine)
		if err != nil {
			t.Fatal(err)
		}
		id = made.ID
		f.Acknowledge()
	})
	flushes := powerfail.Flushes{}
	recording.Check(t, flushes, func(i powerfail.Image) error {
		// Without a machine ID the other path of the root does not matter.
		got, err := InstanceID(filepath.Join(i.Path, "root"), "", "/dev/null")
		if err == nil && i.Acknowledged > 0 && got.ID != id {
			err = fmt.Errorf("ID is %s, want %s", got.ID, id)
		}
		return err
	})
	flushes.CheckNeeded(t, nil)
}
