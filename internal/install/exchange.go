package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
)

// A package that replaces a version's folder first moves to layout.Arriving.
// The two folders are exchanged in one step, and the old one is kept as
// layout.Replaced:
//
//	                 arriving  version's folder  replaced
//	before           –         old               –
//	                 new       old               –
//	exchanged        old       new               –
//	kept             –         new               old
//
// On a file system that cannot exchange, the folder is absent in between:
//
//	                 new       –                 old
//
// Where the folder cannot be renamed either, it is copied and then removed. It
// may be half removed in between:
//
//	                 new       old, or a part    old
//
// Both folders survive a crash, so any process can put the old one back. The id
// in the origin file shows which of the two is the new one.

// exchange replaces the existing folder with the package.
func (s *Staged) exchange(to string) error {
	step, arriving, old := s.cfg.Step, layout.Arriving(s.cfg.Root, s.Config.Name), layout.Replaced(s.cfg.Root, s.Config.Name)
	if err := step.Before("mkdir replaced"); err != nil {
		return err
	}
	if err := durable.MakeFolder(filepath.Dir(old), 0o700); err != nil {
		return err
	}
	if err := removeFolder(step, "arriving package", arriving); err != nil {
		return err
	}
	if err := moveFolder(step, "package aside", s.Dir, arriving); err != nil {
		return err
	}
	err := renameWithFlag(step, "exchange", arriving, to, unix.RENAME_EXCHANGE)
	switch {
	case err == nil:
		err = moveFolder(step, "replaced folder aside", arriving, old)
	case isUnsupported(err), errors.Is(err, unix.EXDEV):
		if err = moveFolder(step, "folder aside", to, old); err == nil {
			err = moveFolder(step, "package in place", arriving, to)
		}
	}
	return err
}

// PutBack undoes a Place with Keep, also an interrupted one. id is the
// Staged.StagingID of the package. The caller holds the plugin's name lock
// exclusively.
func PutBack(root, name, version, id string, step failpoint.Step) error {
	arriving, old, to := layout.Arriving(root, name), layout.Replaced(root, name), layout.Version(root, name, version)
	if !pathExists(old) {
		if !pathExists(arriving) || id == "" || StagedAs(to) != id {
			return removeLeftovers(root, name, version, step)
		}
		if err := moveFolder(step, "replaced folder aside", arriving, old); err != nil { // the exchange was done
			return err
		}
	}
	if err := syncFolder(step, filepath.Dir(old)); err != nil { // before the package is removed
		return err
	}
	if pathExists(to) {
		if err := hideFolder(step, "package out of place", to); err != nil {
			return err
		}
	}
	if err := moveFolder(step, "folder back", old, to); err != nil {
		return err
	}
	if err := syncFolder(step, filepath.Dir(to)); err != nil {
		return err
	}
	return removeLeftovers(root, name, version, step)
}

// removeLeftovers removes what PutBack left. Until then the arriving package
// marks the version's folder as possibly half removed.
func removeLeftovers(root, name, version string, step failpoint.Step) error {
	half := layout.HalfRemoved(layout.Version(root, name, version))
	return errors.Join(removeFolder(step, "package", half), RemoveReplaced(root, name, step))
}

// RemoveReplaced removes the old folder that Place kept. The new one stays.
func RemoveReplaced(root, name string, step failpoint.Step) error {
	arriving, old := layout.Arriving(root, name), layout.Replaced(root, name)
	return errors.Join(
		removeFolder(step, "replaced folder", old),
		removeFolder(step, "replaced folder", layout.HalfRemoved(old)),
		removeFolder(step, "arriving package", arriving),
		removeFolder(step, "arriving package", layout.HalfRemoved(arriving)),
	)
}

// ListInterrupted returns the plugins with folders left over from an exchange. An
// incomplete folder does not show its plugin and is not listed; the next exchange
// of that plugin removes it.
func ListInterrupted(root string) (names []string, err error) {
	dir := filepath.Dir(layout.Replaced(root, "x"))
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list replaced folders: %w", err)
	}
	for _, e := range entries {
		c, err := record.ReadPackageConfig(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		if !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names, nil
}

// Recover finishes an interrupted exchange that no transaction knows of: then the
// version's folder is the old one or the new one. The caller holds the plugin's
// name lock exclusively.
func Recover(root, name string) error {
	old := layout.Replaced(root, name)
	if c, err := record.ReadPackageConfig(old); err == nil && c.Name == name {
		// While layout.Arriving exists, the version's folder may be half removed after
		// its copy.
		if pathExists(layout.Arriving(root, name)) || !pathExists(layout.Version(root, name, c.Version)) {
			if err := PutBack(root, name, c.Version, "", nil); err != nil {
				return err
			}
		}
	}
	return RemoveReplaced(root, name, nil)
}

// moveFolder renames a folder to a free name; if the name exists, the error is
// fs.ErrExist. Where the kernel cannot rename the folder, it is copied and
// removed. The caller's lock keeps other processes away from both names.
func moveFolder(step failpoint.Step, what, from, to string) error {
	err := renameWithFlag(step, "rename "+what, from, to, unix.RENAME_NOREPLACE)
	if isUnsupported(err) {
		if pathExists(to) {
			err = unix.EEXIST
		} else {
			err = os.Rename(from, to)
		}
	}
	if errors.Is(err, unix.EXDEV) {
		if pathExists(to) {
			return &os.PathError{Op: "rename", Path: to, Err: unix.EEXIST}
		}
		err = copyAndRemove(step, what, from, to)
	}
	return wrapPathError("rename", to, err)
}

// copyAndRemove moves a folder between file systems, or out of the lower layer of
// an overlay. An incomplete copy has the name of a half removed folder.
func copyAndRemove(step failpoint.Step, what, from, to string) error {
	if err := step.Before("copy " + what); err != nil {
		return err
	}
	part := layout.HalfRemoved(to)
	err := os.RemoveAll(part)
	if err == nil {
		err = copyFolder(from, part)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(part))
	}
	if err := os.Rename(part, to); err != nil {
		return errors.Join(err, os.RemoveAll(part))
	}
	if err := durable.FlushFolder(filepath.Dir(to)); err != nil {
		return err
	}
	return hideAndRemove(step, what, from)
}

// hideAndRemove renames a folder before it removes it, so that no later process
// takes a half removed folder for a complete one.
func hideAndRemove(step failpoint.Step, what, path string) error {
	if err := hideFolder(step, what, path); err != nil {
		return err
	}
	return removeFolder(step, what, layout.HalfRemoved(path))
}

// hideFolder renames a folder to layout.HalfRemoved. Where it cannot be renamed,
// it is removed.
func hideFolder(step failpoint.Step, what, path string) error {
	half := layout.HalfRemoved(path)
	err := os.RemoveAll(half)
	if err == nil {
		err = step.Before("hide " + what)
	}
	if err == nil {
		err = os.Rename(path, half)
	}
	if errors.Is(err, unix.EXDEV) {
		err = removeFolder(step, what, path)
	}
	if err != nil {
		return err
	}
	return syncFolder(step, filepath.Dir(path))
}

// renameWithFlag calls renameat2 with a flag. An error of step stands for an
// error of the kernel.
func renameWithFlag(step failpoint.Step, what, from, to string, flag uint) error {
	if err := step.Before(what); err != nil {
		return err
	}
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flag)
}

// isUnsupported reports whether the file system or the kernel does not support a
// flag of renameat2 (EV-32).
func isUnsupported(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP)
}

func removeFolder(step failpoint.Step, what, path string) error {
	if !pathExists(path) {
		return nil
	}
	if err := step.Before("remove " + what); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

func pathExists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
