package manifest_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"pluginsupervisor/internal/install/manifest"
	"pluginsupervisor/internal/powerfail"
)

// A written private key survives a power failure: its public key is in use from
// then on.
func TestPowerFailure(t *testing.T) {
	var id string
	recording := powerfail.Record(t, func(f powerfail.Folder) {
		f.Settle()
		key, err := manifest.GenerateKey()
		if err == nil {
			err = key.WriteFile(filepath.Join(f.Path, "key"))
		}
		if err != nil {
			t.Fatal(err)
		}
		id = key.Public().ID()
		f.Acknowledge()
	})
	flushes := powerfail.Flushes{}
	recording.Check(t, flushes, func(i powerfail.Image) error {
		key, err := manifest.ReadPrivateKey(filepath.Join(i.Path, "key"))
		if i.Acknowledged == 0 {
			return nil // it may be absent or incomplete
		}
		if err == nil && key.Public().ID() != id {
			err = fmt.Errorf("it is the key %s, want %s", key.Public().ID(), id)
		}
		return err
	})
	flushes.CheckNeeded(t, nil)
}
