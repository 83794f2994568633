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

// A package that takes the place of a folder first moves to layout.Arriving;
// that and the folder are exchanged in one step, and the old one is kept as
// layout.Replaced:
//
//	                 arriving  version's folder  replaced
//	before           –         old               –
//	                 new       old               –
//	exchanged        old       new               –
//	kept             –         new               old
//
// A file system that cannot exchange has the folder absent in between:
//
//	                 new       –                 old
//
// Where the folder cannot be renamed either, it is copied and removed, and may be
// half removed in between:
//
//	                 new       old, or a part    old
//
// Both folders keep their place over a crash, so that any process can put the
// old one back. Which of two folders is the new one, the id in its origin says.

// exchange puts the package in the place of the folder that is there.
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
	err := renameWith(step, "exchange", arriving, to, unix.RENAME_EXCHANGE)
	switch {
	case err == nil:
		err = moveFolder(step, "replaced folder aside", arriving, old)
	case unsupported(err), errors.Is(err, unix.EXDEV):
		if err = moveFolder(step, "folder aside", to, old); err == nil {
			err = moveFolder(step, "package in place", arriving, to)
		}
	}
	return err
}

// PutBack undoes a Place that kept the folder of a version, or one that was cut
// short, as far as it came. id is that of the package (Staged.StagingID). The caller
// holds the plugin's name lock alone.
func PutBack(root, name, version, id string, step failpoint.Step) error {
	arriving, old, to := layout.Arriving(root, name), layout.Replaced(root, name), layout.Version(root, name, version)
	if !exists(old) {
		if !exists(arriving) || id == "" || StagedAs(to) != id {
			return removeLeft(root, name, version, step)
		}
		if err := moveFolder(step, "replaced folder aside", arriving, old); err != nil { // they are exchanged
			return err
		}
	}
	if err := syncFolder(step, filepath.Dir(old)); err != nil { // before the package goes
		return err
	}
	if exists(to) {
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
	return removeLeft(root, name, version, step)
}

// removeLeft removes what a PutBack leaves. Until then the arriving package says
// that the version's folder may be half removed.
func removeLeft(root, name, version string, step failpoint.Step) error {
	half := layout.HalfRemoved(layout.Version(root, name, version))
	return errors.Join(removeFolder(step, "package", half), DropReplaced(root, name, step))
}

// DropReplaced removes the folder that was kept: the new one stays.
func DropReplaced(root, name string, step failpoint.Step) error {
	arriving, old := layout.Arriving(root, name), layout.Replaced(root, name)
	return errors.Join(
		removeFolder(step, "replaced folder", old),
		removeFolder(step, "replaced folder", layout.HalfRemoved(old)),
		removeFolder(step, "arriving package", arriving),
		removeFolder(step, "arriving package", layout.HalfRemoved(arriving)),
	)
}

// CutShort returns the plugins of which folders of an exchange are left. Of a
// folder that is not whole nobody can tell whose it is; the next exchange of that
// plugin removes it.
func CutShort(root string) (names []string, err error) {
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

// Recover ends an exchange that was cut short and that no transaction knows of:
// the version's folder is the old one or the new one. The caller holds the
// plugin's name lock alone.
func Recover(root, name string) error {
	old := layout.Replaced(root, name)
	if c, err := record.ReadPackageConfig(old); err == nil && c.Name == name {
		// While the package still arrives the folder may be half removed, after it was
		// copied.
		if exists(layout.Arriving(root, name)) || !exists(layout.Version(root, name, c.Version)) {
			if err := PutBack(root, name, c.Version, "", nil); err != nil {
				return err
			}
		}
	}
	return DropReplaced(root, name, nil)
}

// moveFolder renames a folder to a name that is free; the error is fs.ErrExist
// when it is not. Where the kernel cannot rename it, it is copied and removed.
// The caller's lock keeps others from the two names.
func moveFolder(step failpoint.Step, what, from, to string) error {
	err := renameWith(step, "rename "+what, from, to, unix.RENAME_NOREPLACE)
	if unsupported(err) {
		if exists(to) {
			err = unix.EEXIST
		} else {
			err = os.Rename(from, to)
		}
	}
	if errors.Is(err, unix.EXDEV) {
		if exists(to) {
			return &os.PathError{Op: "rename", Path: to, Err: unix.EEXIST}
		}
		err = copyAndRemove(step, what, from, to)
	}
	return wrap("rename", to, err)
}

// copyAndRemove moves a folder between file systems, or out of a lower layer of
// one. A copy that is not whole has the name of a half removed folder.
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
	return removeAtOnce(step, what, from)
}

// removeAtOnce removes a folder that a later process must not take for whole.
func removeAtOnce(step failpoint.Step, what, path string) error {
	if err := hideFolder(step, what, path); err != nil {
		return err
	}
	return removeFolder(step, what, layout.HalfRemoved(path))
}

// hideFolder gives a folder the name of a half removed one. Where it cannot be
// renamed, it is removed.
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

// renameWith is renameat2 with a flag. A step's error is what the kernel answers.
func renameWith(step failpoint.Step, what, from, to string, flag uint) error {
	if err := step.Before(what); err != nil {
		return err
	}
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flag)
}

// unsupported reports that a file system or the kernel does not know a flag of
// renameat2 (EV-32).
func unsupported(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP)
}

func removeFolder(step failpoint.Step, what, path string) error {
	if !exists(path) {
		return nil
	}
	if err := step.Before("remove " + what); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
