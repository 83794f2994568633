package boltfile

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// SetAside renames what is at path — file, folder or anything — so that a new
// file can take its place, and returns the new name: path.damaged-TIME with the
// time in UTC.
func SetAside(path string, now time.Time) (string, error) {
	base := path + ".damaged-" + now.UTC().Format("20060102T150405Z")
	aside := base
	for n := 1; ; n++ {
		if _, err := os.Lstat(aside); errors.Is(err, os.ErrNotExist) {
			break
		} else if err != nil {
			return "", fmt.Errorf("move %s aside: %w", path, err)
		}
		aside = fmt.Sprintf("%s-%d", base, n)
	}
	if err := os.Rename(path, aside); err != nil {
		return "", fmt.Errorf("move damaged file aside: %w", err)
	}
	return aside, nil
}
