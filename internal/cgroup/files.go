package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// writeControl writes a value to an existing control file. The kernel accepts the
// whole value or rejects it.
func writeControl(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// isAbsent reports whether an error means that the cgroup does not exist. If it is
// removed while its file is open, the error is ENODEV.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV)
}

// parseNumber returns the number of a key in a control file of lines "key number".
func parseNumber(text, key string) (uint64, bool) {
	for line := range strings.Lines(text) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		if k == key {
			n, err := strconv.ParseUint(v, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// parsePIDs returns the numbers in a file like cgroup.procs. It skips 0, a process
// of another pid namespace.
func parsePIDs(text string) []int {
	var found []int
	for word := range strings.FieldsSeq(text) {
		if pid, err := strconv.ParseInt(word, 10, 32); err == nil && pid > 0 {
			found = append(found, int(pid))
		}
	}
	return found
}

// fileContains reports whether a file like cgroup.controllers contains a word.
func fileContains(dir, file, word string) (bool, error) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return false, err
	}
	return slices.Contains(strings.Fields(string(b)), word), nil
}

// cgroupExists reports whether there is such a cgroup.
func cgroupExists(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir()
}

// listTree returns a cgroup and all below it, parents first. It skips those that are
// removed meanwhile.
func listTree(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := []string{dir}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		below, err := listTree(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, below...)
	}
	return all, nil
}

// removeTree removes an empty cgroup and all below it.
func removeTree(dir string) error {
	all, err := listTree(dir)
	if err != nil {
		return err
	}
	for _, d := range slices.Backward(all) {
		if err := unix.Rmdir(d); err != nil && !isAbsent(err) {
			return &fs.PathError{Op: "rmdir", Path: d, Err: err}
		}
	}
	return nil
}
