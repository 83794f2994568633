package boltfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// SetAside renames the file, folder or other entry at path, so that a new file can be
// made there, and returns the new name, see PlaceAside.
func SetAside(path string, now time.Time) (string, error) {
	aside, err := PlaceAside(path, now, func(aside string) error { return renameToFree(path, aside) })
	if err != nil {
		return "", fmt.Errorf("move damaged file aside: %w", err)
	}
	return aside, nil
}

// PlaceAside calls place with a name for the damaged file: path.damaged-TIME with the
// time in UTC, followed by a number if that name exists. place fails with fs.ErrExist
// for an existing name, so that no earlier file is overwritten.
func PlaceAside(path string, now time.Time, place func(aside string) error) (string, error) {
	base := path + asideMark + now.UTC().Format(asideTime)
	aside := base
	for n := 1; ; n++ {
		err := place(aside)
		if err == nil {
			return aside, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		aside = fmt.Sprintf("%s-%d", base, n)
	}
}

// Suffix of the name of a file that was moved aside.
const (
	asideMark = ".damaged-"
	asideTime = "20060102T150405Z"
)

// ParseAside returns the original path and the time of a file that was moved aside to
// name; false if name is not of that form.
func ParseAside(name string) (where string, at time.Time, ok bool) {
	i := strings.LastIndex(name, asideMark)
	if i < 0 {
		return "", time.Time{}, false
	}
	text, _, _ := strings.Cut(name[i+len(asideMark):], "-") // a number may follow
	at, err := time.Parse(asideTime, text)
	return name[:i], at, err == nil
}

// renameToFree renames a file. It fails with fs.ErrExist if the new name exists.
func renameToFree(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) { // not supported in one step (EV-32)
		return checkAndRename(from, to)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// checkAndRename does the same in two steps.
func checkAndRename(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fs.ErrExist
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(from, to)
}
