package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/install/manifest"
	"pluginsupervisor/internal/record"
)

// packageRoot is the folder of config.json: dir, or the only folder in it, as
// many archives are made.
func packageRoot(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", failure.Because(failure.Storage, err)
	}
	if len(entries) == 1 && entries[0].IsDir() {
		return filepath.Join(dir, entries[0].Name()), nil
	}
	return dir, nil
}

// check reads config.json and looks for what it promises (CL-11).
func check(dir string, cfg Config) (record.PackageConfig, error) {
	c, err := record.ReadPackageConfig(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, failure.New(failure.Package, "package has no config.json: %w", err)
	case errors.Is(err, record.ErrRefused):
		return c, failure.New(failure.Package, "package is not acceptable: %w", err)
	case err != nil:
		return c, failure.New(failure.Config, "package has a bad config.json: %w", err)
	}
	if err := c.Accepted(cfg.OS, cfg.Arch); err != nil {
		return c, failure.Because(failure.Package, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return c, failure.Because(failure.Storage, err)
	}
	defer root.Close()
	info, err := root.Lstat(c.RunPath)
	switch {
	case err != nil:
		return c, failure.New(failure.Package, "package lacks its executable: %w", err)
	case !info.Mode().IsRegular():
		return c, failure.New(failure.Package, "executable %s of the package is not a file", c.RunPath)
	case info.Mode().Perm()&0o111 == 0:
		return c, failure.New(failure.Package, "executable %s of the package may not be executed (mode %04o)", c.RunPath, info.Mode().Perm())
	}
	return c, nil
}

// agree compares what the package says with what was asked for and signed.
func agree(s *Staged, r Request, signed *manifest.Manifest) error {
	c := s.Config
	if top := filepath.Base(s.Dir); top != "package" && top != c.Name && top != c.Name+"_"+c.Version && top != c.Name+"-"+c.Version {
		return failure.New(failure.Package, "package has folder %q on top, which is not named after %s %s", top, c.Name, c.Version)
	}
	if r.Name != "" && r.Name != c.Name || r.Version != "" && r.Version != c.Version {
		return failure.New(failure.Package, "package holds %s %s, wanted was %s %s", c.Name, c.Version, r.Name, r.Version)
	}
	if signed == nil {
		return nil
	}
	if signed.Name != c.Name || signed.Version != c.Version ||
		!strings.EqualFold(signed.OS, c.OSType) || !strings.EqualFold(signed.Arch, c.Arch) {
		return failure.New(failure.Signature, "package holds %s %s (%s %s), signed was %s %s (%s %s)",
			c.Name, c.Version, c.OSType, c.Arch, signed.Name, signed.Version, signed.OS, signed.Arch)
	}
	return nil
}
