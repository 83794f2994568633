package install

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// maxOrigin is how much is read of layout.Origin, in bytes. That file comes and
// goes with the version's folder: one that another program puts there has none,
// and so nothing is said of it that is not known.
const maxOrigin = 4 << 10

// origin is what is kept about the package of a version.
type origin struct {
	Name     string          `json:"name"`
	Version  string          `json:"version"`
	Verified plugin.Verified `json:"verified"`
	Sum      string          `json:"sum"`
	Key      string          `json:"key,omitempty"`
	Sequence uint64          `json:"sequence,omitempty"`
	Staged   string          `json:"staged,omitempty"` // Staged.StagingID
}

// writeOrigin puts it beside config.json, in place of whatever the package has
// there.
func (s *Staged) writeOrigin() error {
	text, err := json.Marshal(origin{s.Config.Name, s.Config.Version, s.Verified, s.Sum, s.Key, s.Sequence, s.StagingID()})
	if err != nil {
		return fmt.Errorf("write origin: %w", err)
	}
	path := filepath.Join(s.Dir, layout.Origin)
	if err := s.cfg.Step.Before("write origin"); err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("write origin: %w", err)
	}
	if err := durable.CreateFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write origin: %w", err)
	}
	return syncFolder(s.cfg.Step, s.Dir)
}

// VerifiedBy is by what the package in a version's folder was verified:
// plugin.VerifiedUnknown where nothing tells, or not of this version.
func VerifiedBy(dir, name, version string) plugin.Verified {
	o := originOf(readOrigin(dir), name, version)
	return o.Verified
}

// StagedAs returns the Staged.StagingID of the package in a version's folder; "" where
// nothing tells.
func StagedAs(dir string) string {
	var o origin
	if json.Unmarshal(readOrigin(dir), &o) != nil {
		return ""
	}
	return o.Staged
}

// readOrigin returns what the file holds, nil if it cannot be read.
func readOrigin(dir string) []byte {
	root, err := os.OpenRoot(dir) // the folder is the plugin's: a link in it leads nowhere else
	if err != nil {
		return nil
	}
	defer root.Close()
	f, err := root.OpenFile(layout.Origin, os.O_RDONLY|unix.O_NONBLOCK, 0) // nor is a FIFO waited for
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(f, maxOrigin))
	if err != nil {
		return nil
	}
	return text
}

// originOf returns what is told of a version, the zero value if that is nothing
// or of another one.
func originOf(text []byte, name, version string) origin {
	var o origin
	if json.Unmarshal(text, &o) != nil || o.Name != name || o.Version != version {
		return origin{}
	}
	switch o.Verified {
	case plugin.BySignature, plugin.BySHA256, plugin.ByMD5, plugin.ByNothing:
		return o
	default:
		return origin{}
	}
}
