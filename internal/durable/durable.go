// Package durable writes files and folders that survive a power failure once the call
// has returned without an error.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/layout"
)

// WriteFile replaces the file at path in one step: at any moment, also after a crash,
// the file is the old one or the new one. A new file has mode perm, less the umask.
// step is called before "write", "rename" and "flush".
//
// A path has one writer at a time, in a folder that other users cannot write to. The
// data is first written to TempName(path). The next writer overwrites a file that a
// killed writer left there.
func WriteFile(path string, data []byte, perm fs.FileMode, step failpoint.Step) error {
	if err := step.Before("write"); err != nil {
		return err
	}
	temp := TempName(path)
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err == nil {
		err = writeFlushed(f, data)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	if err := step.Before("rename"); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	if err := step.Before("flush"); err != nil {
		return err
	}
	return FlushFolder(filepath.Dir(path))
}

// TempSuffix is the suffix of the file that WriteFile writes before it renames it.
const TempSuffix = ".new"

// TempName returns the path of that file: path and TempSuffix. A name that is too long
// for the file system is shortened.
func TempName(path string) string {
	folder, name := filepath.Split(path)
	return folder + layout.SuffixedName(name, TempSuffix)
}

// CreateFile writes a file that must not exist yet, with mode perm less the umask. An
// incomplete file is removed. The folder is not flushed.
func CreateFile(path string, data []byte, perm fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	if err := writeFlushed(f, data); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// writeFlushed writes, flushes and closes a file.
func writeFlushed(f *os.File, data []byte) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// MakeFolder makes a folder and its missing parents with mode perm, regardless of the
// umask. Existing folders do not change. New folders survive a power failure, their
// modes once the folder itself is flushed.
func MakeFolder(path string, perm fs.FileMode) error {
	err := os.Mkdir(path, perm)
	if errors.Is(err, fs.ErrNotExist) {
		if err := MakeFolder(filepath.Dir(path), perm); err != nil {
			return err
		}
		err = os.Mkdir(path, perm)
	}
	if errors.Is(err, fs.ErrExist) {
		if info, failed := os.Stat(path); failed != nil || !info.IsDir() {
			return err
		}
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.Chmod(path, perm); err != nil {
		return err
	}
	return FlushFolder(filepath.Dir(path))
}

// FlushFolder makes created, renamed and removed names in a folder durable.
func FlushFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("flush folder: %w", err)
	}
	return flushFolder(f)
}

// FlushFolderIn is FlushFolder for a folder below root.
func FlushFolderIn(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return fmt.Errorf("flush folder: %w", err)
	}
	return flushFolder(f)
}

func flushFolder(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, unix.EINVAL) {
		err = nil // the file system cannot flush folders
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("flush folder: %w", err)
	}
	return nil
}

// IsRefused reports whether an error means that the disk accepts no writes: it is full,
// read-only, or fails.
func IsRefused(err error) bool {
	for _, refusal := range []error{unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EIO} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}
