package logfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/durable"
)

// Limit bounds a log. It takes at most MaxSize × (Keep + 1) bytes; when it has
// more, the oldest is dropped until MaxSize × Keep are left, of a log without
// Keep half of MaxSize.
type Limit struct {
	MaxSize int64
	Keep    int
}

func (l Limit) total() int64 { return l.MaxSize * int64(l.Keep+1) }

// remains returns how much is left at most when something was dropped.
func (l Limit) remains() int64 {
	if l.Keep == 0 {
		return l.MaxSize / 2
	}
	return l.MaxSize * int64(l.Keep)
}

// markedBy is the extended attribute of our logs: the path that the file was
// opened by, without symbolic links. It stays with a file that is moved.
const markedBy = "user.supervisor.log"

// Open opens a log for append, and creates it and its folder. What is not a
// regular file is refused, symbolic links too, and a FIFO does not block.
func Open(path string) (*os.File, error) {
	if err := durable.MakeFolder(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("create log folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	_, err = regularSize(f)
	if err == nil {
		err = unix.SetNonblock(int(f.Fd()), false) // the flag would be the plugin's too
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open log: %w", err)
	}
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil { // not every file system has attributes
		_ = unix.Fsetxattr(int(f.Fd()), markedBy, []byte(filepath.Join(folder, filepath.Base(path))), 0)
	}
	return f, nil
}

// Bound drops the oldest part of a log that is larger than the limit allows,
// and returns its size. The file must be open for reading and writing; others
// may append to it meanwhile.
func (l Limit) Bound(f *os.File) (size int64, err error) {
	size, err = regularSize(f)
	if err != nil || size <= l.total() {
		return size, err
	}
	m, err := readMark(f)
	if err != nil {
		return size, err
	}
	if !m.moving { // else an earlier move was cut short
		err = collapse(f, m, size, l.remains())
	}
	if m.moving || err != nil { // not supported, or no space for it: moving needs none
		err = moveDown(f, m, l.remains())
	}
	if err != nil {
		return size, err
	}
	return regularSize(f)
}

// collapse takes whole blocks out of the file at the front, so that at most so
// many bytes remain, in one step for those who read and write. The new mark is
// written to where the file begins afterwards.
func collapse(f *os.File, m mark, size, remains int64) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		return fmt.Errorf("drop old output: %w", err)
	}
	block := max(1, fs.Bsize)
	drop := (size - remains + block - 1) / block * block
	if drop >= size || !collapses(f) {
		return fmt.Errorf("drop old output: %w", unix.EOPNOTSUPP)
	}
	m.dropped += drop
	if err := writeMark(f, m, drop); err != nil {
		return err
	}
	// What stays must be on the disk before: flushed here, a writer need not wait for it.
	_ = unix.SyncFileRange(int(f.Fd()), drop, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_COLLAPSE_RANGE, 0, drop); err != nil {
		return fmt.Errorf("drop old output: %w", err)
	}
	return nil
}

// collapses reports whether the file system can take a range out of a file.
// Where it can, it refuses a range that is no block as invalid.
func collapses(f *os.File) bool {
	return errors.Is(unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_COLLAPSE_RANGE, 0, 1), unix.EINVAL)
}

// How a log is moved: how much at once, and how often what was written
// meanwhile is moved too.
const (
	moveBlock  = 1 << 20
	moveRounds = 16
)

// lossLine is where something may be missing that was written while the file
// was truncated.
const lossLine = "\n" + markBegin + "a line may be missing here ---\n"

// moveDown moves the end of the file, about so many bytes, to its front and
// truncates it behind that. What is appended during the move is moved too; lost
// is only what is appended between the last check of the size and the
// truncation, the next system call. A line says where.
func moveDown(f *os.File, m mark, remains int64) error {
	size, err := regularSize(f)
	if err != nil {
		return err
	}
	from := max(0, size-remains)
	first := mark{m.dropped, true}
	if err := writeMark(f, first, 0); err != nil {
		return err
	}
	m = mark{dropped: m.dropped + from}
	if err := writeMark(f, m, from); err != nil { // moved to the front as the rest, but last
		return err
	}
	head := make([]byte, markMax)
	n, err := f.ReadAt(head, from)
	if err != nil && err != io.EOF {
		return fmt.Errorf("read log: %w", err)
	}
	head = head[:n]
	at := from + int64(n)
	buf := make([]byte, moveBlock)
	for range moveRounds {
		for at < size {
			n, err := f.ReadAt(buf[:min(moveBlock, size-at)], at)
			if err != nil {
				return fmt.Errorf("read end of log: %w", err)
			}
			if _, err := f.WriteAt(buf[:n], at-from); err != nil {
				return fmt.Errorf("move end of log: %w", err)
			}
			at += int64(n)
		}
		if size, err = regularSize(f); err != nil || size <= at {
			break
		}
	}
	if err == nil {
		err = f.Truncate(at - from)
	}
	if err != nil {
		return fmt.Errorf("truncate log: %w", err)
	}
	if _, err := f.WriteAt(head, 0); err != nil { // with it, the content is in order again
		return fmt.Errorf("mark log: %w", err)
	}
	line := []byte(lossLine)
	if n, err := f.ReadAt(buf[:1], at-from-1); err == nil && buf[n-1] == '\n' {
		line = line[1:]
	}
	return appendTo(f, line)
}

// appendTo appends as the daemon does.
func appendTo(f *os.File, b []byte) error {
	w, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("mark log: %w", err)
	}
	_, err = w.Write(b)
	return errors.Join(err, w.Close())
}

func regularSize(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("look at log: %w", err)
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file", f.Name())
	}
	return info.Size(), nil
}
