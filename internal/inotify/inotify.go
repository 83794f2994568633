// Package inotify reads the kernel's queue of file events.
//
// A watch is of an inode, found once by its path. It stays with the file when the file
// is moved, and is removed when the file is deleted; the path may then lead to another
// file. So to watch a path, first add a watch, then read the file: the read shows
// earlier changes, the queue reports later ones. Adding the same inode again returns
// the same number. So a caller can add a path again to see whether it still leads to
// the watched file.
//
// The package adds three features to inotify(7). A Queue waits in the runtime's
// poller, without a thread. A read returns at a given time or when another goroutine
// interrupts it, so one goroutine can own all state that depends on events and wait in
// one place. Between two reads a Queue can rest: events are collected, and the kernel
// does not wake the process for them.
package inotify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Queue holds watches and returns their events. Only one goroutine at a time may call
// Read and Rest; the other methods are safe for concurrent use.
type Queue struct {
	// The runtime polls the gate, never the events. The gate is an epoll instance
	// that reports events once, and then not until it is armed again.
	events, gate *os.File
	conn, wakes  syscall.RawConn // give access to their descriptors
	interrupted  atomic.Bool
	closed       atomic.Bool

	// Used by Read and Rest only:
	rest   time.Duration
	until  time.Time // the deadline of the gate
	rested time.Time // when the rest ends; zero without one
	armed  bool
	buf    [16 << 10]byte
}

// Event is a file event of the kernel.
type Event struct {
	Watch int    // the number that Add returned
	Mask  uint32 // unix.IN_…
	Name  string // of the file in a watched directory; else empty
}

// Open returns a queue without watches.
func Open() (*Queue, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if errors.Is(err, unix.EMFILE) { // the same for this process's own limit
		err = fmt.Errorf("%w (limit fs.inotify.max_user_instances, or of open files)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("inotify_init1: %w", err)
	}
	q := &Queue{events: os.NewFile(uintptr(fd), "inotify")}
	err = unix.SetNonblock(fd, true) // after NewFile, or the runtime would poll it
	if err == nil {
		q.conn, err = q.events.SyscallConn()
	}
	if err == nil {
		err = q.openGate(fd)
	}
	if err != nil {
		return nil, errors.Join(err, q.events.Close())
	}
	return q, nil
}

func (q *Queue) openGate(events int) error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	err = unix.SetNonblock(fd, true) // so that the runtime polls it
	if err == nil {
		err = unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, events, &unix.EpollEvent{Events: unix.EPOLLONESHOT})
	}
	if err != nil {
		return errors.Join(os.NewSyscallError("epoll_ctl", err), unix.Close(fd))
	}
	q.gate = os.NewFile(uintptr(fd), "inotify")
	q.wakes, err = q.gate.SyscallConn()
	return err
}

// Add watches the file at a path. For a file that is already watched, by any path, it
// returns the same number and replaces the mask. Numbers are positive and never reused.
// The error is an *os.PathError.
func (q *Queue) Add(path string, mask uint32) (watch int, err error) {
	var failed error
	err = q.conn.Control(func(fd uintptr) { watch, failed = unix.InotifyAddWatch(int(fd), path, mask) })
	if err == nil {
		err = failed
	}
	if errors.Is(err, unix.ENOSPC) { // does not mean a full disk
		err = fmt.Errorf("no inotify watch left (limit fs.inotify.max_user_watches): %w", err)
	}
	if err != nil {
		return 0, &os.PathError{Op: "watch", Path: path, Err: err}
	}
	return watch, nil
}

// Drop removes a watch. The kernel may have removed it with its file. Queued events
// stay.
func (q *Queue) Drop(watch int) {
	_ = q.conn.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(watch)) })
}

// Rest sets the time for which events are collected after a Read returned some, before
// the next returns more. The default is 0. It does not change a rest that has begun.
func (q *Queue) Rest(d time.Duration) { q.rest = d }

// Read waits for events and returns them in the kernel's order. It returns none at the
// time until, where the zero time means never, and after Interrupt.
func (q *Queue) Read(until time.Time) ([]Event, error) {
	if end := q.rested; !end.IsZero() {
		short := !until.IsZero() && until.Before(end)
		if short {
			end = until
		}
		if _, interrupted, err := q.wait(end, false); interrupted || short || err != nil {
			return nil, err
		}
		q.rested = time.Time{}
	}
	n, err := q.readQueue()
	if n == 0 && err == nil {
		var came bool
		if came, _, err = q.wait(until, true); came {
			n, err = q.readQueue()
		}
	}
	if n == 0 || err != nil {
		return nil, err
	}
	if q.rest > 0 && n < len(q.buf)/2 { // else there may be more
		q.rested = time.Now().Add(q.rest)
	}
	return parseEvents(q.buf[:n]), nil
}

// readQueue reads the queued events into buf and returns the number of bytes.
func (q *Queue) readQueue() (n int, err error) {
	var failed error
	err = q.conn.Control(func(fd uintptr) { n, failed = unix.Read(int(fd), q.buf[:]) })
	switch {
	case q.closed.Load():
		return 0, os.ErrClosed
	case errors.Is(failed, unix.EAGAIN):
		return 0, nil
	default:
		return max(n, 0), errors.Join(err, os.NewSyscallError("read", failed))
	}
}

// wait waits until a time for an Interrupt and, if armed, for events.
func (q *Queue) wait(until time.Time, armed bool) (came, interrupted bool, err error) {
	if err := q.setArmed(armed); err != nil {
		return false, false, err
	}
	if !until.Equal(q.until) {
		if err := q.gate.SetReadDeadline(until); err != nil && !q.closed.Load() {
			return false, false, err
		}
		q.until = until
	}
	// Checked after the deadline was set, which may have replaced that of Interrupt.
	if q.interrupted.Swap(false) {
		q.until = past
		return false, true, nil
	}
	err = q.wakes.Read(func(fd uintptr) bool {
		var ready [1]unix.EpollEvent
		n, _ := unix.EpollWait(int(fd), ready[:], 0)
		came = n > 0
		return came
	})
	switch {
	case came:
		q.armed = false
		return true, false, nil
	case q.closed.Load():
		return false, false, os.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		q.until = past
		return false, q.interrupted.Swap(false), nil
	default:
		return false, false, err
	}
}

// setArmed sets whether the gate reports events, once.
func (q *Queue) setArmed(armed bool) error {
	if q.armed == armed {
		return nil
	}
	event := &unix.EpollEvent{Events: unix.EPOLLONESHOT}
	if armed {
		event.Events |= unix.EPOLLIN
	}
	var failed, borrowed error
	err := q.wakes.Control(func(gate uintptr) {
		borrowed = q.conn.Control(func(events uintptr) {
			failed = os.NewSyscallError("epoll_ctl", unix.EpollCtl(int(gate), unix.EPOLL_CTL_MOD, int(events), event))
		})
	})
	if err := errors.Join(err, borrowed, failed); err != nil {
		if q.closed.Load() {
			return os.ErrClosed
		}
		return err
	}
	q.armed = armed
	return nil
}

// past is a deadline in the past. Read is never called with it.
var past = time.Unix(1, 0)

// Interrupt makes the waiting Read return, or else the next one.
func (q *Queue) Interrupt() {
	q.interrupted.Store(true)
	_ = q.gate.SetReadDeadline(past)
}

// Close removes all watches. A Read that is waiting returns os.ErrClosed.
func (q *Queue) Close() error {
	q.closed.Store(true)
	return errors.Join(q.gate.Close(), q.events.Close())
}

// parseEvents decodes the events that were read from the queue, see inotify(7).
func parseEvents(b []byte) []Event {
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
