package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/inotify"
)

// stray is a log that a process writes to and that is not in its place any
// more: it was moved or deleted.
type stray struct {
	log
	name   string // that it was created with
	where  string // its path; "" when it was deleted
	opened string // the writer's descriptor, below /proc
	pid    string
	watch  int // 0 without
	sought time.Time
}

// identity is that of a file.
type identity struct{ dev, ino uint64 }

const deleted = " (deleted)"

// findStrays looks for writers of logs that are not in their place, in the
// descriptors 1 and 2 of all processes, and forgets the strays that have none.
// q watches what is found; nil: none does.
func (k *Keeper) findStrays(q *inotify.Queue) {
	now := time.Now()
	found := map[identity]*stray{}
	mount, folder, err := placeOf(k.Folder)
	if err == nil {
		pids, _ := os.ReadDir(k.proc)
		for _, pid := range pids {
			if _, err := strconv.Atoi(pid.Name()); err != nil {
				continue
			}
			for _, fd := range []string{"1", "2"} {
				if s, id, ok := k.strayAt(filepath.Join(k.proc, pid.Name()), fd, mount, folder); ok && found[id] == nil {
					s.pid = pid.Name()
					found[id] = s
				}
			}
		}
	}
	named := map[string]bool{}
	for id, s := range found {
		if before := k.strays[id]; before != nil {
			s.log, s.watch = before.log, before.watch
		} else {
			s.dirty = true
			if q != nil {
				s.watch, _ = q.Add(s.opened, unix.IN_MODIFY)
			}
		}
		s.sought = now
		if q != nil && s.watch == 0 {
			s.dirty = true // checked with each search
		}
		named[problemOf(s.name)] = true
	}
	for id, s := range k.strays {
		if found[id] != nil {
			continue
		}
		if q != nil && s.watch != 0 {
			q.Drop(s.watch)
		}
		if what := problemOf(s.name); !named[what] {
			k.note(what, nil)
		}
	}
	k.strays = found
}

// placeOf returns the mount of a folder and its path without symbolic links.
func placeOf(folder string) (mount, path string, err error) {
	f, err := os.Open(folder)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	info, err := readInfo("/proc/self", strconv.Itoa(int(f.Fd())))
	if err == nil {
		path, err = filepath.EvalSymlinks(folder)
	}
	return info.mount, path, err
}

// strayAt returns the stray that a process has open as a descriptor. Files of
// other mounts are not touched: their file system may not answer.
func (k *Keeper) strayAt(process, fd, mount, folder string) (*stray, identity, bool) {
	opened := filepath.Join(process, "fd", fd)
	path, err := os.Readlink(opened)
	if err != nil || !filepath.IsAbs(path) {
		return nil, identity{}, false
	}
	path, gone := strings.CutSuffix(path, deleted)
	inFolder := filepath.Dir(path) == folder
	if inFolder && !gone && strings.HasSuffix(path, logSuffix) {
		return nil, identity{}, false // in its place
	}
	if info, err := readInfo(process, fd); err != nil || info.mount != mount || info.flags&unix.O_ACCMODE == unix.O_RDONLY {
		return nil, identity{}, false
	}
	var st unix.Stat_t
	if unix.Stat(opened, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, identity{}, false
	}
	s := &stray{name: filepath.Base(path), where: path, opened: opened}
	var placed [unix.PathMax]byte
	n, err := unix.Getxattr(opened, markedBy, placed[:])
	switch place := string(placed[:max(n, 0)]); {
	case err == nil && filepath.Dir(place) == folder:
		s.name = filepath.Base(place)
	case !inFolder:
		return nil, identity{}, false // the process's own, or of another root
	}
	if gone {
		s.where = ""
	}
	return s, identity{st.Dev, st.Ino}, true
}

// fdInfo is what the kernel says of an open file without touching it.
type fdInfo struct {
	mount string
	flags int64
}

func readInfo(process, fd string) (info fdInfo, err error) {
	b, err := os.ReadFile(filepath.Join(process, "fdinfo", fd))
	if err != nil {
		return info, err
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "mnt_id":
			info.mount = value
		case "flags":
			if info.flags, err = strconv.ParseInt(value, 8, 64); err != nil {
				return info, fmt.Errorf("flags of descriptor: %w", err)
			}
		}
	}
	return info, nil
}

// checkStray bounds a stray through its writer's descriptor, and reports where
// the output goes if `supervisor logs` does not show it.
func (k *Keeper) checkStray(s *stray, now time.Time) {
	info, err := os.Stat(s.opened)
	if err == nil {
		err = s.bound(k.Limit, s.opened, 0, info, now)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESTALE) {
		s.dirty, s.due, s.sought = false, time.Time{}, time.Time{} // its writer is gone, or another process has its number: searched at once
		return
	}
	if err == nil && filepath.Dir(s.where) != filepath.Clean(k.Folder) {
		where := s.where
		if where == "" {
			where = "a deleted file"
		}
		err = fmt.Errorf("process %s writes to %s, restart the plugin to see what it prints", s.pid, where)
	}
	k.note(problemOf(s.name), err)
}

// touchStrays has the stray of a watch checked, or all of them.
func (k *Keeper) touchStrays(watch int) {
	for _, s := range k.strays {
		if watch == 0 || s.watch == watch {
			s.dirty = true
		}
	}
}

// straysDue reports whether the writers of strays are to be looked for again.
func (k *Keeper) straysDue(now time.Time) bool {
	for _, s := range k.strays {
		if now.Sub(s.sought) >= strayEvery {
			return true
		}
	}
	return false
}

// isStray reports whether the log of that name is written elsewhere.
func (k *Keeper) isStray(name string) bool {
	for _, s := range k.strays {
		if s.name == name {
			return true
		}
	}
	return false
}
