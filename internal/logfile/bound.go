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

// Limit is the size limit of a log: MaxSize × (Keep + 1) bytes. Above it the oldest
// bytes are removed until MaxSize × Keep are left, or half of MaxSize without Keep.
type Limit struct {
	MaxSize int64
	Keep    int
}

func (l Limit) maxTotal() int64 { return l.MaxSize * int64(l.Keep+1) }

// remainingSize returns the maximum size after a removal.
func (l Limit) remainingSize() int64 {
	if l.Keep == 0 {
		return l.MaxSize / 2
	}
	return l.MaxSize * int64(l.Keep)
}

// pathAttribute is the extended attribute with the original path of a log, without
// symbolic links. It stays with a moved file.
const pathAttribute = "user.supervisor.log"

// Open opens a log for append, and creates it and its folder. It fails for anything
// but a regular file, also for symbolic links, and never blocks on a FIFO.
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
		err = unix.SetNonblock(int(f.Fd()), false) // the plugin would inherit the flag
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open log: %w", err)
	}
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil { // not every file system supports attributes
		_ = unix.Fsetxattr(int(f.Fd()), pathAttribute, []byte(filepath.Join(folder, filepath.Base(path))), 0)
	}
	return f, nil
}

// Bound removes the oldest part of a log that exceeds the limit, and returns its
// size. The file must be open for reading and writing. Others may append to it
// meanwhile.
func (l Limit) Bound(f *os.File) (size int64, err error) {
	size, err = regularSize(f)
	if err != nil || size <= l.maxTotal() {
		return size, err
	}
	m, err := readMark(f)
	if err != nil {
		return size, err
	}
	if !m.moving { // else an earlier move was interrupted
		err = collapseFront(f, m, size, l.remainingSize())
	}
	if m.moving || err != nil { // collapsing is not supported or needs space; moving needs none
		err = moveToFront(f, m, l.remainingSize())
	}
	if err != nil {
		return size, err
	}
	return regularSize(f)
}

// collapseFront removes whole blocks from the front of the file, so that at most
// remains bytes are left. Readers and writers see one atomic step. The new mark is
// written where the file begins afterwards.
func collapseFront(f *os.File, m mark, size, remains int64) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		return fmt.Errorf("drop old output: %w", err)
	}
	block := max(1, fs.Bsize)
	drop := (size - remains + block - 1) / block * block
	if drop >= size || !canCollapse(f) {
		return fmt.Errorf("drop old output: %w", unix.EOPNOTSUPP)
	}
	m.dropped += drop
	if err := writeMark(f, m, drop); err != nil {
		return err
	}
	// The kernel flushes the remaining bytes first. Flushing them here keeps writers
	// from waiting for it.
	_ = unix.SyncFileRange(int(f.Fd()), drop, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_COLLAPSE_RANGE, 0, drop); err != nil {
		return fmt.Errorf("drop old output: %w", err)
	}
	return nil
}

// canCollapse reports whether the file system can remove a range from a file. If it
// can, it rejects a range that is not a block as invalid.
func canCollapse(f *os.File) bool {
	return errors.Is(unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_COLLAPSE_RANGE, 0, 1), unix.EINVAL)
}

// Block size of a move, and maximum number of passes over concurrently appended
// bytes.
const (
	moveBlock     = 1 << 20
	maxMovePasses = 16
)

// lossLine marks the place where concurrent output may have been lost.
const lossLine = "\n" + markBegin + "a line may be missing here ---\n"

// moveToFront moves about the last remains bytes of the file to its front and
// truncates the rest. Bytes appended during the move are moved too. Only bytes
// appended between the last check of the size and the truncation, the next system
// call, are lost. A line marks the place.
func moveToFront(f *os.File, m mark, remains int64) error {
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
	if err := writeMark(f, m, from); err != nil { // it is moved to the front last
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
	for range maxMovePasses {
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
	if _, err := f.WriteAt(head, 0); err != nil { // now the content is in order again
		return fmt.Errorf("mark log: %w", err)
	}
	line := []byte(lossLine)
	if n, err := f.ReadAt(buf[:1], at-from-1); err == nil && buf[n-1] == '\n' {
		line = line[1:]
	}
	return appendText(f, line)
}

// appendText appends text in append mode, as the daemon does.
func appendText(f *os.File, b []byte) error {
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
		return 0, fmt.Errorf("get size of log: %w", err)
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file", f.Name())
	}
	return info.Size(), nil
}
