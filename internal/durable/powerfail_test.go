package durable_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/powerfail"
)

// Completed writes survive a power failure, with the folders and their modes. Until
// then a file is the old or the new one.
func TestPowerFailure(t *testing.T) {
	recording := powerfail.Record(t, func(f powerfail.Folder) {
		f.Settle()
		unix.Umask(0o077)
		folder := filepath.Join(f.Path, "a", "b")
		kept, created := filepath.Join(folder, "kept"), filepath.Join(folder, "created")
		for _, do := range []func() error{
			func() error { return durable.MakeFolder(folder, 0o755) },
			func() error { return durable.WriteFile(kept, []byte("first"), 0o600, nil) },
			func() error { return durable.WriteFile(kept, []byte("2"), 0o600, nil) },
			func() error {
				return errors.Join(durable.CreateFile(created, []byte("new"), 0o600), durable.FlushFolder(folder))
			},
			func() error { return durable.WriteFile(kept, []byte("3"), 0o600, nil) },
			func() error { return errors.Join(os.Remove(created), durable.FlushFolder(folder)) },
		} {
			if err := do(); err != nil {
				t.Fatal(err)
			}
			f.Acknowledge()
		}
	})
	after := []string{"", "", "first", "2", "2 new", "3 new", "3"}
	flushes := powerfail.Flushes{}
	recording.Check(t, flushes, func(i powerfail.Image) error {
		folder := filepath.Join(i.Path, "a", "b")
		kept, err := os.ReadFile(filepath.Join(folder, "kept"))
		got := string(kept)
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		created, missing := os.ReadFile(filepath.Join(folder, "created"))
		if missing == nil && i.Acknowledged != 3 { // CreateFile may be interrupted
			got += " " + string(created)
		}
		if want := after[i.Acknowledged:min(i.Acknowledged+2, len(after))]; err != nil || !slices.Contains(want, got) {
			return fmt.Errorf("files hold %q, %v, want one of %q", got, err, want)
		}
		if i.Acknowledged == 0 {
			return nil
		}
		info, err := os.Stat(folder)
		if err == nil && i.Acknowledged > 1 && info.Mode().Perm() != 0o755 {
			err = fmt.Errorf("the folder has mode %v", info.Mode())
		}
		return err
	})
	flushes.CheckNeeded(t, nil)
}
