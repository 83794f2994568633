// Package inotify is the kernel's queue of file events, and nothing on top.
//
// What is watched is an inode, found once by its path: a watch follows the file
// when it is moved and ends with it, and the path may meanwhile lead to
// another. So the way to follow a path is: first add a watch, then look at what
// is there. What changed before the look is seen by it, what changes after it
// is in the queue; and as adding is told the same number for the same inode,
// who adds again learns whether the file is still the one he watches.
//
// The package adds two things to inotify(7). A Queue waits in the runtime's
// poller, which takes no thread; and a read ends at a given time or when
// another goroutine interrupts it, so that one goroutine can own everything
// that hangs on the events, and sleeps once for all of it.
package inotify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Queue holds watches and gives their events. Read is for one goroutine at a
// time, the rest for any.
type Queue struct {
	file        *os.File
	conn        syscall.RawConn // lends the descriptor; File.Fd would turn it into a blocking one
	interrupted atomic.Bool

	// The reader's:
	until time.Time // the deadline that file has
	buf   [16 << 10]byte
}

// Event is one of the kernel's.
type Event struct {
	Watch int    // by the number that Add gave
	Mask  uint32 // unix.IN_…
	Name  string // in a watched folder, of what the event is about; else empty
}

// Open makes a queue without watches.
func Open() (*Queue, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	file := os.NewFile(uintptr(fd), "inotify")
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Queue{file: file, conn: conn}, nil
}

// Add watches a path. For what is watched already, by whatever path, the number
// is the same and the mask replaces the old one. Numbers are positive; they are
// not used again. The error is an *os.PathError.
func (q *Queue) Add(path string, mask uint32) (watch int, err error) {
	var failed error
	err = q.conn.Control(func(fd uintptr) { watch, failed = unix.InotifyAddWatch(int(fd), path, mask) })
	if err == nil {
		err = failed
	}
	if err != nil {
		return 0, &os.PathError{Op: "watch", Path: path, Err: err}
	}
	return watch, nil
}

// Drop ends a watch. The kernel may have ended it before, with its file.
// Events that are in the queue stay in it.
func (q *Queue) Drop(watch int) {
	_ = q.conn.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(watch)) })
}

// Read waits for events, in the kernel's order. It returns none when until has
// come, which for the zero time is never, or after Interrupt.
func (q *Queue) Read(until time.Time) ([]Event, error) {
	if !until.Equal(q.until) {
		if err := q.file.SetReadDeadline(until); err != nil {
			return nil, err
		}
		q.until = until
	}
	// Looked at after the deadline was set, which may have undone Interrupt's.
	if q.interrupted.Swap(false) {
		q.until = past
		return nil, nil
	}
	n, err := q.file.Read(q.buf[:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		q.until = past
		q.interrupted.Store(false)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parse(q.buf[:n]), nil
}

// past is a deadline that has passed, and is never one that Read is called with.
var past = time.Unix(1, 0)

// Interrupt ends the Read that is waiting, or else the next.
func (q *Queue) Interrupt() {
	q.interrupted.Store(true)
	_ = q.file.SetReadDeadline(past)
}

// Close ends all watches, and the Read that is waiting with os.ErrClosed.
func (q *Queue) Close() error { return q.file.Close() }

// parse reads what a read of the queue gave, see inotify(7).
func parse(b []byte) []Event {
	var found []Event
	for len(b) >= unix.SizeofInotifyEvent {
		word := func(at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
		length := int64(word(12))
		if length > int64(len(b)-unix.SizeofInotifyEvent) {
			break
		}
		name, rest := b[unix.SizeofInotifyEvent:][:length], b[unix.SizeofInotifyEvent:][length:]
		name, _, _ = bytes.Cut(name, []byte{0})
		found = append(found, Event{Watch: int(int32(word(0))), Mask: word(4), Name: string(name)})
		b = rest
	}
	return found
}
