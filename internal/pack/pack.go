// Package pack makes packages of files, for authors of plugins (SPEC 16). The same files
// make the same bytes. Each package it makes passes the check of hosts, package
// pkgcheck.
package pack

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/plugin"
)

// File is one file of a package.
type File struct {
	Name string // path in the package, with slashes
	Mode fs.FileMode
	Path string // the file with the content; "": Body has it
	Body []byte
}

// openContent returns the content.
func (f File) openContent() (io.ReadCloser, error) {
	if f.Path == "" {
		return io.NopCloser(bytes.NewReader(f.Body)), nil
	}
	return os.Open(f.Path)
}

// excludedNames holds the names of files, at any depth, that do not belong to a package:
// those of version control, a run of the plugin, its installation and macOS.
var excludedNames = []string{".git", ".hg", ".svn", layout.ServiceFolder, layout.Origin, ".DS_Store", "__MACOSX"}

// Folder returns the files of a folder, and the names of those that are left out. It
// fails for anything but regular files and folders.
func Folder(dir string) (files []File, left []string, err error) {
	err = filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, p)
		if err != nil || name == "." {
			return err
		}
		name = filepath.ToSlash(name)
		isRun := name == layout.Heartbeat // written by a run of the plugin in this folder
		if slices.Contains(excludedNames, path.Base(name)) || isRun {
			left = append(left, name)
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := e.Info()
		switch {
		case err != nil:
			return err
		case info.IsDir():
			return nil
		case info.Mode()&fs.ModeSymlink != 0:
			return fmt.Errorf("%s is a symbolic link, which hosts reject; replace it by the file", p)
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is neither a file nor a folder", p)
		}
		files = append(files, File{Name: name, Mode: info.Mode(), Path: p})
		return nil
	})
	return files, left, err
}

// Write writes a package of the files, sorted by name, with their modes.
func Write(w io.Writer, files []File) error {
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	z := zip.NewWriter(w)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.Name, Method: zip.Deflate} // without a time: the same files make the same bytes
		h.SetMode(f.Mode)
		to, err := z.CreateHeader(h)
		if err != nil {
			return fmt.Errorf("pack %s: %w", f.Name, err)
		}
		from, err := f.openContent()
		if err == nil {
			_, err = io.Copy(to, from)
			err = errors.Join(err, from.Close())
		}
		if err != nil {
			return fmt.Errorf("pack %s: %w", f.Name, err)
		}
	}
	return z.Close()
}

// Made is a package file that was made.
type Made struct {
	*pkgcheck.Package
	Path string
	Size int64 // in bytes
}

// Make writes a package of the files and checks it as hosts do. Its path is out, or
// FileName in the working directory if out is empty. After an error there is no new
// file.
func Make(ctx context.Context, files []File, out string) (*Made, error) {
	dir := filepath.Dir(out) // "." for ""
	f, err := os.CreateTemp(dir, ".package-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := Write(f, files); err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	p, err := pkgcheck.Check(f, size, pkgcheck.Limits{})
	if err == nil {
		err = CheckNames(p.Config.Name, p.Config.Version)
	}
	if err == nil {
		err = p.CheckContent(ctx)
	}
	if err != nil {
		return nil, err
	}
	if out == "" {
		out = FileName(p.Config.Name, p.Config.Version, p.Arch)
	}
	if err = f.Chmod(0o644); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), out)
	}
	if err != nil {
		return nil, err
	}
	return &Made{p, out, size}, nil
}

// FileName returns the name of the package file; arch is that of config.json.
func FileName(name, version, arch string) string {
	return fmt.Sprintf("%s-%s-linux-%s.zip", name, version, GoArch(arch))
}

// GoArch returns Go's name of a package's arch: amd64 for x64.
func GoArch(arch string) string {
	switch arch {
	case "x64":
		return "amd64"
	case "arm":
		return "arm64"
	case "":
		return platform.AnyArch
	default:
		return arch
	}
}

// CheckNames returns an error for a name or version with characters that some file
// systems, URLs or shells do not accept (SPEC 1).
func CheckNames(name, version string) error {
	for what, s := range map[string]string{"name": name, "version": version} {
		if err := plugin.CheckName(s); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		other := func(r rune) bool { return !isWordChar(r) && !strings.ContainsRune("._-+", r) }
		if strings.ContainsFunc(s, other) || !isWordChar(rune(s[0])) {
			return fmt.Errorf("%s %q; allowed: ASCII letters, digits, '.', '_', '-' and '+', first a letter or digit", what, s)
		}
	}
	return nil
}

func isWordChar(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
}
