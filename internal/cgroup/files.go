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

// write sets a control file that exists: the kernel takes the value whole or
// refuses it.
func write(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// gone tells of an error that it means: there is no such cgroup. One that is
// removed while its file is open reads as no device.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV)
}

// number finds a key in a control file of lines "key number".
func number(text, key string) (uint64, bool) {
	for line := range strings.Lines(text) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		if k == key {
			n, err := strconv.ParseUint(v, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// pids are the numbers in a file like cgroup.procs. A 0 is a process of
// another pid namespace, which cannot be named here.
func pids(text string) []int {
	var found []int
	for word := range strings.FieldsSeq(text) {
		if pid, err := strconv.ParseInt(word, 10, 32); err == nil && pid > 0 {
			found = append(found, int(pid))
		}
	}
	return found
}

// lists tells whether a file holds that word, as cgroup.controllers does.
func lists(dir, file, word string) (bool, error) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return false, err
	}
	return slices.Contains(strings.Fields(string(b)), word), nil
}

// exists tells whether there is such a cgroup.
func exists(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir()
}

// family is a cgroup and all below it, parents first. What vanishes meanwhile
// is left out.
func family(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if gone(err) {
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
		below, err := family(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, below...)
	}
	return all, nil
}

// remove removes an empty cgroup and those below it.
func remove(dir string) error {
	all, err := family(dir)
	if err != nil {
		return err
	}
	for _, d := range slices.Backward(all) {
		if err := unix.Rmdir(d); err != nil && !gone(err) {
			return &fs.PathError{Op: "rmdir", Path: d, Err: err}
		}
	}
	return nil
}
