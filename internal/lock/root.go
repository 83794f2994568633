package lock

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Root is the lock of an installation root, which one supervisor holds (EV-15).
// It has two parts. The lock of the folder itself needs no write, and removing a file
// does not undo it. The lock file names the holder, and supervisors of earlier versions
// use it; on a full or read-only disk it may be taken later (EV-28).
type Root struct {
	path   string   // of the lock file
	folder *os.File // nil where the file system cannot lock folders

	mu   sync.Mutex
	file *os.File // nil while it is not locked
}

// TakeRoot takes the lock of the folder root, whose lock file is at path, without
// waiting. If another process holds it, the error is a *HeldError. The lock file may
// not be locked yet: call Keep.
func TakeRoot(root, path string) (*Root, error) {
	folder, err := tryAfterDead(path, func() (*os.File, error) { return tryFolder(root, true, nil) })
	if held := (*HeldError)(nil); errors.As(err, &held) {
		held.PID = Holder(root, path)
		return nil, held
	}
	r := &Root{path: path, folder: folder}
	if err == nil {
		return r, nil
	}
	if failed := r.Keep(); failed != nil { // without the folder, the file must be locked
		return nil, errors.Join(err, failed)
	}
	return r, nil
}

// Keep locks the lock file and writes our pid to it, unless that is done. It makes a
// removed one again (EV-29). The error says why that is not possible now; it is a
// *HeldError if another process holds the lock.
func (r *Root) Keep() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil && CheckPlace(r.file, r.path) != nil {
		_ = ReleaseFile(r.file)
		r.file = nil
	}
	if r.file == nil {
		f, err := tryAfterDead(r.path, func() (*os.File, error) { return tryPath(r.path, true, nil) })
		if err != nil {
			return err
		}
		r.file = f
	}
	if readPID(r.file) == os.Getpid() {
		return nil
	}
	if err := r.writeOwnPID(); err != nil {
		return fmt.Errorf("%s: write pid: %w", r.path, err)
	}
	return nil
}

// writeOwnPID writes our pid to the lock file. It opens the file again, as the disk may
// have been read-only before.
func (r *Root) writeOwnPID() error {
	f, err := os.OpenFile(r.path, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	if err := CheckPlace(f, r.path); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(writePID(f), f.Close())
}

// Release releases both parts. It may be called more than once.
func (r *Root) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		releaseNamed(r.file)
	}
	if r.folder != nil {
		_ = ReleaseFile(r.folder)
	}
}

// readPID returns the pid in a lock file, 0 if there is none.
func readPID(f *os.File) int {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

// Holder returns the process that holds the root whose lock file is at path, 0 if none
// does or it is not known. It uses the file, and the kernel's table of locks.
func Holder(root, path string) int {
	written := 0
	if f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0); err == nil {
		written = readPID(f)
		f.Close()
	}
	for _, place := range []string{path, root} {
		info, err := os.Stat(place)
		if err != nil {
			continue
		}
		if pid := findExclusiveHolder(info.Sys().(*syscall.Stat_t), written); pid > 0 { // always a Stat_t, on Linux
			return pid
		}
	}
	return 0
}

// findExclusiveHolder returns the process that has a file locked exclusively, by
// /proc/locks. Some file systems report another device there: then only the pid that
// is written in the file counts.
func findExclusiveHolder(file *syscall.Stat_t, written int) int {
	table, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer table.Close()
	inode := fmt.Sprintf(":%d", file.Ino)
	device := fmt.Sprintf("%02x:%02x", unix.Major(file.Dev), unix.Minor(file.Dev))
	for lines := bufio.NewScanner(table); lines.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF
		f := strings.Fields(lines.Text())
		if len(f) < 6 || f[1] != "FLOCK" || f[3] != "WRITE" {
			continue
		}
		on, ours := strings.CutSuffix(f[5], inode)
		if pid, err := strconv.Atoi(f[4]); err == nil && ours && pid > 0 && (on == device || pid == written) && isRunning(pid) {
			return pid
		}
	}
	return 0
}
