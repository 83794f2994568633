package lock

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Holders returns the processes other than this one that hold the lock of the file at
// path, shared or exclusively, sorted by pid. It takes no lock. It does not find
// processes of other namespaces, nor any where /proc is missing.
func Holders(path string) (pids []int) { return ReadTable().Holders(path) }

// Table is the list of all flock locks of the host, as read from /proc/locks. The
// zero value is an empty list.
//
// Locks are found by the inode number of their file alone: on layered file systems
// the device in /proc/locks is not the one that stat returns.
type Table struct {
	holders map[uint64][]int // by inode number
	waiting map[uint64][]int
}

// Holders returns the processes that held the lock of a file, as the function
// Holders does.
func (t Table) Holders(path string) (pids []int) {
	for _, pid := range t.holders[inodeOf(path)] {
		if pid != os.Getpid() && !slices.Contains(pids, pid) && mayHaveOpen(pid, filepath.Base(path)) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// IsAwaited reports whether a process other than this one waited for the lock of a
// file. A process that polls for it does not count.
func (t Table) IsAwaited(path string) bool {
	return slices.ContainsFunc(t.waiting[inodeOf(path)], func(pid int) bool { return pid != os.Getpid() })
}

// inodeOf returns the inode number of the file at path, 0 if there is none.
func inodeOf(path string) uint64 {
	var file unix.Stat_t
	if unix.Stat(path, &file) != nil {
		return 0
	}
	return file.Ino
}

// ReadTable reads /proc/locks, twice: each read returns a page at most, and a lock is
// missing when one before it is released between two pages. The table is empty where
// it cannot be read.
func ReadTable() Table {
	t := Table{map[uint64][]int{}, map[uint64][]int{}}
	page := make([]byte, 64<<10) // larger than what a read returns
	for range 2 {
		f, err := os.Open("/proc/locks")
		if err != nil {
			return Table{}
		}
		var all []byte
		for n := 1; n > 0; {
			n, _ = f.Read(page)
			all = append(all, page[:n]...)
		}
		f.Close()
		t.add(all)
	}
	return t
}

// add adds the locks of a text like that of /proc/locks, which may be in the table
// already:
//
//	1: FLOCK  ADVISORY  WRITE 4711 08:01:1234567 0 EOF
//	1: -> FLOCK  ADVISORY  WRITE 4712 08:01:1234567 0 EOF
//
// The second process waits for the lock of the first.
func (t Table) add(text []byte) {
	for line := range bytes.Lines(text) {
		words := bytes.Fields(line)
		into := t.holders
		if len(words) > 1 && string(words[1]) == "->" {
			words, into = words[1:], t.waiting
		}
		if len(words) < 6 || string(words[1]) != "FLOCK" {
			continue
		}
		pid, err := strconv.Atoi(string(words[4]))
		if err != nil || pid <= 0 {
			continue
		}
		inode, err := strconv.ParseUint(string(words[5][bytes.LastIndexByte(words[5], ':')+1:]), 10, 64)
		if err == nil && !slices.Contains(into[inode], pid) {
			into[inode] = append(into[inode], pid)
		}
	}
}

// mayHaveOpen reports whether a process has a file of that name open, or its files
// cannot be read. A lock of a process that has exited is held by a child of it.
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
