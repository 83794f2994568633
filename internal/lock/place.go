package lock

import (
	"errors"
	"fmt"
	"os"
)

// ErrReplaced means that another file, or none, is at the path of an open file.
var ErrReplaced = errors.New("removed or replaced by another program")

// CheckPlace returns an error, which may be ErrReplaced, unless the open file is
// the one at path.
func CheckPlace(f *os.File, path string) error {
	own, err := f.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Lstat(path); err != nil || !os.SameFile(own, there) {
		return fmt.Errorf("%s: %w", path, ErrReplaced)
	}
	return nil
}
