package unpack_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/internal/pkgcheck/pkgchecktest"
	"pluginsupervisor/internal/powerfail"
)

// CL-11, EV-30: once the folder is flushed too, the unpacked files survive a power
// failure, with their modes.
func TestPowerFailure(t *testing.T) {
	const body = "#!/bin/sh\n"
	recording := powerfail.Record(t, func(f powerfail.Folder) {
		f.Settle()
		unix.Umask(0o077)
		err := unpackTo(t, pkgchecktest.Zip(t, pkgchecktest.Agent(
			pkgchecktest.Entry{Name: "bin/", Mode: 0o040755},
			pkgchecktest.Entry{Name: "bin/deep/", Mode: 0o040755},
			pkgchecktest.Entry{Name: "bin/deep/run", Mode: 0o100755, Body: body},
		)...), f.Path, pkgcheck.Limits{}, nil)
		if err := errors.Join(err, durable.FlushFolder(f.Path)); err != nil {
			t.Fatal(err)
		}
		f.Acknowledge()
	})
	flushes := powerfail.Flushes{}
	recording.Check(t, flushes, func(i powerfail.Image) error {
		if i.Acknowledged == 0 {
			return nil // an incomplete folder is removed
		}
		for name, mode := range map[string]fs.FileMode{
			"config.json": 0o644, "bin": fs.ModeDir | 0o755, "bin/run": 0o755, "bin/deep": fs.ModeDir | 0o755, "bin/deep/run": 0o755,
		} {
			info, err := os.Stat(filepath.Join(i.Path, name))
			if err != nil {
				return err
			}
			if info.Mode() != mode || !info.IsDir() && info.Size() == 0 {
				return fmt.Errorf("%s has mode %v and %d bytes", name, info.Mode(), info.Size())
			}
		}
		b, err := os.ReadFile(filepath.Join(i.Path, "bin/deep/run"))
		if err == nil && string(b) != body {
			err = fmt.Errorf("bin/deep/run holds %q", b)
		}
		return err
	})
	flushes.CheckNeeded(t, nil)
}
