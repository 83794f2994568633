package cgroup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// inotify is one queue of the kernel's file events.
type inotify struct {
	file *os.File
	buf  [64 << 10]byte // its reader's
}

// event is one of them; name is of what changed in a watched folder.
type event struct {
	watch int
	mask  uint32
	name  string
}

func newInotify() (*inotify, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	return &inotify{file: os.NewFile(uintptr(fd), "inotify")}, nil
}

// add watches a path; for one that is watched already the number is the same.
func (i *inotify) add(path string, mask uint32) (watch int, err error) {
	var failed error
	err = i.control(func(fd int) { watch, failed = unix.InotifyAddWatch(fd, path, mask) })
	if failed != nil {
		err = &os.PathError{Op: "watch", Path: path, Err: failed}
	}
	return watch, err
}

// drop ends a watch. The kernel may have ended it before, with its file.
func (i *inotify) drop(watch int) {
	_ = i.control(func(fd int) { _, _ = unix.InotifyRmWatch(fd, uint32(watch)) })
}

// control lends the descriptor, which Fd would turn into a blocking one.
func (i *inotify) control(f func(fd int)) error {
	conn, err := i.file.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Control(func(fd uintptr) { f(int(fd)) })
}

// read waits for events. Interrupted by interrupt it returns none.
func (i *inotify) read() ([]event, error) {
	n, err := i.file.Read(i.buf[:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, i.file.SetReadDeadline(time.Time{})
	}
	if err != nil {
		return nil, err
	}
	return parseEvents(i.buf[:n]), nil
}

// interrupt ends the read that is waiting, or else the next.
func (i *inotify) interrupt() { _ = i.file.SetReadDeadline(time.Unix(1, 0)) }

func (i *inotify) close() error { return i.file.Close() }

// parseEvents reads what a read of the queue gave, see inotify(7).
func parseEvents(b []byte) []event {
	var found []event
	for len(b) >= unix.SizeofInotifyEvent {
		word := func(at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
		length := int64(word(12))
		if length > int64(len(b)-unix.SizeofInotifyEvent) {
			break
		}
		name, rest := b[unix.SizeofInotifyEvent:][:length], b[unix.SizeofInotifyEvent:][length:]
		name, _, _ = bytes.Cut(name, []byte{0})
		found = append(found, event{watch: int(int32(word(0))), mask: word(4), name: string(name)})
		b = rest
	}
	return found
}
