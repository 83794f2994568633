package install

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// copyFolder copies a folder with all its content: modes, owners where permitted,
// times, symbolic links and FIFOs. Sockets are left out: no process can listen on
// a copy. Everything is flushed to disk.
func copyFolder(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	for _, e := range entries {
		if err := copyEntry(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return copyAttributes(from, to)
}

func copyEntry(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		return copyFolder(from, to)
	case fs.ModeSymlink:
		target, err := os.Readlink(from)
		if err == nil {
			err = os.Symlink(target, to)
		}
		return err
	case fs.ModeNamedPipe:
		if err := unix.Mkfifo(to, 0o600); err != nil {
			return err
		}
		return copyOwnerAndMode(info, to)
	case 0:
		return copyFile(from, to)
	default:
		return nil
	}
}

func copyFile(from, to string) error {
	in, err := os.OpenFile(from, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = copyAttributes(from, to)
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// copyAttributes copies owner, mode and times. It runs after the content is
// written, because writing changes the times.
func copyAttributes(from, to string) error {
	info, err := os.Lstat(from)
	if err == nil {
		err = copyOwnerAndMode(info, to)
	}
	if err == nil {
		err = os.Chtimes(to, info.ModTime(), info.ModTime())
	}
	if err != nil || !info.IsDir() {
		return err
	}
	return syncFolder(nil, to)
}

// copyOwnerAndMode sets the owner before the mode, because a change of owner
// clears setuid bits.
func copyOwnerAndMode(info fs.FileInfo, to string) error {
	if owner, ok := fileOwner(info); ok {
		if err := os.Lchown(to, owner.uid, owner.gid); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return os.Chmod(to, info.Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky))
}

type owner struct{ uid, gid int }

func fileOwner(info fs.FileInfo) (owner, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return owner{}, false
	}
	return owner{int(stat.Uid), int(stat.Gid)}, true
}
