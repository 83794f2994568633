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

// stray is a moved or deleted log that a process still writes to.
type stray struct {
	logState
	name       string // original file name
	path       string // "" if it was deleted
	descriptor string // of the writer, below /proc
	pid        string // of the writer
	watch      int    // 0 for none
	searchedAt time.Time
}

// fileID identifies a file.
type fileID struct{ dev, ino uint64 }

const deletedSuffix = " (deleted)"

// findStrays searches descriptors 1 and 2 of all processes for moved and deleted
// logs, and forgets strays without a writer. It watches the found ones with q, unless
// q is nil.
func (k *Keeper) findStrays(q *inotify.Queue) {
	now := time.Now()
	found := map[fileID]*stray{}
	mount, folder, err := mountAndPath(k.Folder)
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
			s.logState, s.watch = before.logState, before.watch
		} else {
			s.dirty = true
			if q != nil {
				s.watch, _ = q.Add(s.descriptor, unix.IN_MODIFY)
			}
		}
		s.searchedAt = now
		if q != nil && s.watch == 0 {
			s.dirty = true // not watched: checked with each search
		}
		named[problemName(s.name)] = true
	}
	for id, s := range k.strays {
		if found[id] != nil {
			continue
		}
		if q != nil && s.watch != 0 {
			q.Drop(s.watch)
		}
		if what := problemName(s.name); !named[what] {
			k.reportProblem(what, nil)
		}
	}
	k.strays = found
}

// mountAndPath returns the mount id of a folder and its path without symbolic links.
func mountAndPath(folder string) (mount, path string, err error) {
	f, err := os.Open(folder)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	info, err := readFDInfo("/proc/self", strconv.Itoa(int(f.Fd())))
	if err == nil {
		path, err = filepath.EvalSymlinks(folder)
	}
	return info.mount, path, err
}

// strayAt returns the stray that a process has open as a descriptor. It does not
// access files of other mounts: their file system may not answer.
func (k *Keeper) strayAt(process, fd, mount, folder string) (*stray, fileID, bool) {
	opened := filepath.Join(process, "fd", fd)
	path, err := os.Readlink(opened)
	if err != nil || !filepath.IsAbs(path) {
		return nil, fileID{}, false
	}
	path, gone := strings.CutSuffix(path, deletedSuffix)
	inFolder := filepath.Dir(path) == folder
	if inFolder && !gone && strings.HasSuffix(path, logSuffix) {
		return nil, fileID{}, false // neither moved nor deleted
	}
	if info, err := readFDInfo(process, fd); err != nil || info.mount != mount || info.flags&unix.O_ACCMODE == unix.O_RDONLY {
		return nil, fileID{}, false
	}
	var st unix.Stat_t
	if unix.Stat(opened, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fileID{}, false
	}
	s := &stray{name: filepath.Base(path), path: path, descriptor: opened}
	var placed [unix.PathMax]byte
	n, err := unix.Getxattr(opened, pathAttribute, placed[:])
	switch place := string(placed[:max(n, 0)]); {
	case err == nil && filepath.Dir(place) == folder:
		s.name = filepath.Base(place)
	case !inFolder:
		return nil, fileID{}, false // not a log, or of another root
	}
	if gone {
		s.path = ""
	}
	return s, fileID{st.Dev, st.Ino}, true
}

// fdInfo holds facts about an open file that the kernel reports without accessing
// its file system.
type fdInfo struct {
	mount string
	flags int64
}

func readFDInfo(process, fd string) (info fdInfo, err error) {
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

// checkStray limits a stray through its writer's descriptor. It reports the path of
// the output if `supervisor logs` does not show it.
func (k *Keeper) checkStray(s *stray, now time.Time) {
	info, err := os.Stat(s.descriptor)
	if err == nil {
		err = s.bound(k.Limit, s.descriptor, 0, info, now)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESTALE) {
		s.dirty, s.due, s.searchedAt = false, time.Time{}, time.Time{} // its writer exited: search again at once
		return
	}
	if err == nil && filepath.Dir(s.path) != filepath.Clean(k.Folder) {
		where := s.path
		if where == "" {
			where = "a deleted file"
		}
		err = fmt.Errorf("process %s writes to %s, restart the plugin to see what it prints", s.pid, where)
	}
	k.reportProblem(problemName(s.name), err)
}

// touchStrays schedules a check of the stray of a watch, or of all for 0.
func (k *Keeper) touchStrays(watch int) {
	for _, s := range k.strays {
		if watch == 0 || s.watch == watch {
			s.dirty = true
		}
	}
}

// straysDue reports whether the search for strays is due.
func (k *Keeper) straysDue(now time.Time) bool {
	for _, s := range k.strays {
		if now.Sub(s.searchedAt) >= strayEvery {
			return true
		}
	}
	return false
}

// isStray reports whether the log of that name is a stray.
func (k *Keeper) isStray(name string) bool {
	for _, s := range k.strays {
		if s.name == name {
			return true
		}
	}
	return false
}
