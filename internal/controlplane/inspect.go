package controlplane

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"pluginsupervisor/internal/platform"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// What hosts take at most of a package; what they refuse is not uploaded either.
const (
	maxPackageEntries = 10_000
	maxConfig         = 1 << 20  // bytes of config.json
	maxDirectory      = 16 << 20 // bytes of the list of a zip's entries
)

// zipStart is how a zip with at least one file begins.
const zipStart = "PK\x03\x04"

// inspect reads from a package what it is. The error is a fault that tells why
// hosts would not install it.
func inspect(content io.ReaderAt, size int64) (registry.PackageConfig, error) {
	var c registry.PackageConfig
	reads := &bounded{content, maxDirectory}
	z, err := zip.NewReader(reads, size)
	switch {
	case errors.Is(err, errBound):
		return c, badf("package has a list of entries of more than %d bytes", maxDirectory)
	case err != nil && !errors.Is(err, zip.ErrInsecurePath): // that is judged below
		return c, badf("package is not a zip file: %v", err)
	case len(z.File) > maxPackageEntries:
		return c, badf("package has %d entries, at most %d allowed", len(z.File), maxPackageEntries)
	}
	seen := map[string]bool{} // files, in lower case: not every disk tells case apart
	for _, f := range z.File {
		if err := checkZipEntry(f, seen); err != nil {
			return c, badf("package entry %q: %v", plugin.Cut(f.Name, 100), err)
		}
	}
	top := topFolder(z.File)
	reads.left = 2 * maxConfig
	if c, err = readConfig(z.File, path.Join(top, "config.json")); err != nil {
		return c, err
	}
	if err := checkConfig(c); err != nil {
		return c, badf("config.json: %v", err)
	}
	if top != "" && top != c.Name && top != c.Name+"_"+c.Version && top != c.Name+"-"+c.Version {
		return c, badf("package has folder %q on top, which is not named after %s %s", plugin.Cut(top, 100), c.Name, c.Version)
	}
	return c, checkExecutable(z.File, path.Join(top, filepath.ToSlash(c.RunPath)))
}

func checkZipEntry(f *zip.File, seen map[string]bool) error {
	folded := strings.ToLower(f.Name)
	switch name := strings.TrimSuffix(f.Name, "/"); {
	case !filepath.IsLocal(name) || path.Clean(name) != name || strings.Contains(name, `\`):
		return errors.New("is no path inside the package")
	case !f.Mode().IsRegular() && !f.Mode().IsDir():
		return errors.New("is neither a file nor a folder")
	case f.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0:
		return errors.New("is setuid, setgid or sticky")
	case f.Flags&1 != 0:
		return errors.New("is encrypted")
	case seen[folded]:
		return errors.New("is there twice")
	}
	seen[folded] = !f.Mode().IsDir()
	return nil
}

// topFolder is the only folder that everything is in, as many archives are made, or "".
func topFolder(files []*zip.File) string {
	var top string
	for _, f := range files {
		first, _, inFolder := strings.Cut(f.Name, "/")
		if !inFolder || top != "" && first != top {
			return ""
		}
		top = first
	}
	return top
}

func find(files []*zip.File, name string) *zip.File {
	i := slices.IndexFunc(files, func(f *zip.File) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return files[i]
}

func readConfig(files []*zip.File, name string) (c registry.PackageConfig, err error) {
	f := find(files, name)
	if f == nil {
		return c, badf("package has no config.json")
	}
	r, err := f.Open()
	if err != nil {
		return c, badf("config.json cannot be read: %v", err)
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	switch {
	case err != nil:
		return c, badf("config.json cannot be read: %v", err)
	case len(text) > maxConfig:
		return c, badf("config.json has more than %d bytes", maxConfig)
	}
	if c, err = registry.DecodePackageConfig(text); err != nil {
		return c, badf("%v", err)
	}
	return c, nil
}

func checkConfig(c registry.PackageConfig) error {
	if err := plugin.CheckName(c.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if err := plugin.CheckName(c.Version); err != nil {
		return fmt.Errorf("version: %w", err)
	}
	if err := plugin.CheckRunPath(c.RunPath); err != nil {
		return err
	}
	if _, err := platform.PackageOS(c.OSType); err != nil {
		return err
	}
	_, err := platform.PackageArch(c.Arch)
	return err
}

func checkExecutable(files []*zip.File, name string) error {
	f := find(files, name)
	if f == nil {
		return badf("package lacks its executable %s", plugin.Cut(name, 100))
	}
	mode := f.ExternalAttrs >> 16 // 0 from systems that know no permissions
	if mode != 0 && mode&0o111 == 0 {
		return badf("executable %s of the package may not be executed (mode %04o)", plugin.Cut(name, 100), mode&0o777)
	}
	return nil
}

var errBound = errors.New("more than is read")

// bounded ends reading after so many bytes: the entries of a zip are all kept in
// memory, however many there are.
type bounded struct {
	io.ReaderAt
	left int64
}

func (b *bounded) ReadAt(p []byte, offset int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errBound
	}
	return b.ReaderAt.ReadAt(p, offset)
}
