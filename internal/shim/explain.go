package shim

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// explain returns the cause why a program cannot be executed: the system error has
// neither the file nor the fault.
func (s *shim) explain(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return explainMissing(path, err)
	case errors.Is(err, fs.ErrPermission):
		return s.explainDenied(path)
	case errors.Is(err, syscall.ENOEXEC):
		return errors.New("is neither a program for this machine nor a script with a #! line")
	case errors.Is(err, syscall.ETXTBSY):
		return errors.New("is being written")
	default:
		return err
	}
}

// explainMissing returns which file is missing: the program, its interpreter or its
// loader.
func explainMissing(path string, err error) error {
	if _, statErr := os.Stat(path); statErr != nil {
		return fmt.Errorf("%s does not exist", path)
	}
	line := firstLine(path)
	interpreter, isScript := bytes.CutPrefix(line, []byte("#!"))
	switch {
	case isScript && bytes.HasSuffix(line, []byte("\r")):
		return errors.New("its first line ends with a carriage return (a Windows line end); remove it, as by sed -i 's/\\r$//'")
	case isScript:
		name, _, _ := strings.Cut(strings.TrimSpace(string(interpreter)), " ")
		return fmt.Errorf("its interpreter %s does not exist on this host", name)
	case bytes.HasPrefix(line, []byte("\x7fELF")):
		return errors.New("it is linked dynamically, and its loader does not exist on this host; link it statically, or build it for this system")
	default:
		return err
	}
}

// firstLine returns the beginning of a file up to its first line end.
func firstLine(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	b := make([]byte, 256)
	n, _ := f.Read(b)
	line, _, _ := bytes.Cut(b[:n], []byte("\n"))
	return line
}

// explainDenied returns which file or folder the user of the program has no access to.
func (s *shim) explainDenied(path string) error {
	if err := s.findClosedFolder(filepath.Dir(path)); err != nil {
		return err
	}
	info, err := os.Stat(path)
	var st unix.Statfs_t
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("is a folder")
	case info.Mode()&0o111 == 0:
		return fmt.Errorf("is not executable (mode %04o)", info.Mode().Perm())
	case unix.Statfs(path, &st) == nil && st.Flags&unix.ST_NOEXEC != 0:
		return errors.New("its file system is mounted noexec")
	case unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS) != nil:
		return fmt.Errorf("user %s has no permission to execute it (mode %04o)", s.userName(), info.Mode().Perm())
	default:
		return fmt.Errorf("not permitted (mode %04o): check its interpreter and the security policy", info.Mode().Perm())
	}
}

// findClosedFolder returns an error with the first folder on the path of dir that the
// user has no access to.
func (s *shim) findClosedFolder(dir string) error {
	if dir != filepath.Dir(dir) {
		if err := s.findClosedFolder(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	if unix.Faccessat(unix.AT_FDCWD, dir, unix.X_OK, unix.AT_EACCESS) != unix.EACCES {
		return nil
	}
	mode := ""
	if info, err := os.Stat(dir); err == nil {
		mode = fmt.Sprintf(" (mode %04o)", info.Mode().Perm())
	}
	return fmt.Errorf("user %s has no access to folder %s%s", s.userName(), dir, mode)
}

// explainFolder returns the cause why a folder cannot be the working directory.
func (s *shim) explainFolder(dir string) error {
	if err := s.findClosedFolder(dir); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("%s does not exist", dir)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	return fmt.Errorf("%s cannot be entered", dir)
}
