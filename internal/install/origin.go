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

// maxOrigin is the maximum that is read of layout.Origin, in bytes. A version
// folder that another program made has no such file.
const maxOrigin = 4 << 10

// origin is the content of layout.Origin.
type origin struct {
	Name     string          `json:"name"`
	Version  string          `json:"version"`
	Verified plugin.Verified `json:"verified"`
	Sum      string          `json:"sum"`
	Key      string          `json:"key,omitempty"`
	Sequence uint64          `json:"sequence,omitempty"`
	Staged   string          `json:"staged,omitempty"` // Staged.StagingID
}

// writeOrigin writes the file beside config.json. It replaces any entry of the
// package with that name.
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

// VerifiedBy returns how the package in a version's folder was verified, or
// plugin.VerifiedUnknown if the folder has no origin of this name and version.
func VerifiedBy(dir, name, version string) plugin.Verified {
	o := parseOrigin(readOrigin(dir), name, version)
	return o.Verified
}

// StagedAs returns the Staged.StagingID of the package in a version's folder, ""
// if unknown.
func StagedAs(dir string) string {
	var o origin
	if json.Unmarshal(readOrigin(dir), &o) != nil {
		return ""
	}
	return o.Staged
}

// readOrigin returns the content of the file, nil if it cannot be read.
func readOrigin(dir string) []byte {
	root, err := os.OpenRoot(dir) // the plugin owns the folder: links must not lead out of it
	if err != nil {
		return nil
	}
	defer root.Close()
	f, err := root.OpenFile(layout.Origin, os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO must not block
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

// parseOrigin returns the origin of a version, the zero value if the text is
// malformed or of another version.
func parseOrigin(text []byte, name, version string) origin {
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
