package lock

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Holders returns the processes other than this one that hold the lock of the
// file at path, shared or exclusively, in the order of their numbers. It takes no
// lock. What cannot be seen is not returned: a process of another namespace, or
// any where /proc is missing.
func Holders(path string) (pids []int) { return ReadTable().Holders(path) }

// Table is what /proc/locks said.
type Table struct{ locks []byte }

// Holders returns who held the lock of a file, as the function Holders does.
func (t Table) Holders(path string) (pids []int) {
	var file unix.Stat_t
	if unix.Stat(path, &file) != nil {
		return nil
	}
	for _, pid := range flockers(t.locks, file.Ino) {
		if pid != os.Getpid() && !slices.Contains(pids, pid) && mayHaveOpen(pid, filepath.Base(path)) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// ReadTable reads /proc/locks, twice: the kernel returns a page at most at once, and
// leaves out a lock when one before it goes between two pages. The table is empty
// where it cannot be read.
func ReadTable() Table {
	var all bytes.Buffer
	page := make([]byte, 64<<10) // so that each read returns as much as it can
	for range 2 {
		f, err := os.Open("/proc/locks")
		if err != nil {
			return Table{}
		}
		for n := 1; n > 0; {
			n, _ = f.Read(page)
			all.Write(page[:n])
		}
		f.Close()
	}
	return Table{all.Bytes()}
}

// flockers returns the processes that hold a flock of a file with the inode
// number. The device is left out: on layered file systems it is not the one that
// stat returns.
func flockers(locks []byte, inode uint64) (pids []int) {
	lines := bufio.NewScanner(bytes.NewReader(locks))
	for lines.Scan() {
		// 1: FLOCK  ADVISORY  WRITE 4711 08:01:1234567 0 EOF; one that waits has "->" second.
		word := strings.Fields(lines.Text())
		if len(word) < 6 || word[1] != "FLOCK" {
			continue
		}
		pid, err := strconv.Atoi(word[4])
		if err == nil && pid > 0 && strings.HasSuffix(word[5], ":"+strconv.FormatUint(inode, 10)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// mayHaveOpen reports whether a process has a file of that name open, as far as
// that can be seen. One that has exited handed its lock down to a child.
func mayHaveOpen(pid int, name string) bool {
	folder := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	open, err := os.ReadDir(folder)
	for _, f := range open {
		if target, err := os.Readlink(filepath.Join(folder, f.Name())); err == nil && filepath.Base(target) == name {
			return true
		}
	}
	return err != nil || len(open) == 0
}
