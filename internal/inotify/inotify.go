// Package inotify is the kernel's queue of file events, and nothing on top.
//
// What is watched is an inode, found once by its path: a watch follows the file
// when it is moved and ends with it, and the path may meanwhile lead to
// another. So the way to follow a path is: first add a watch, then look at what
// is there. What changed before the look is seen by it, what changes after it
// is in the queue; and as adding is told the same number for the same inode,
// who adds again learns whether the file is still the one he watches.
//
// The package adds three things to inotify(7). A Queue waits in the runtime's
// poller, which takes no thread; a read ends at a given time or when another
// goroutine interrupts it, so that one goroutine can own everything that hangs
// on the events, and sleeps once for all of it; and between two reads it can
// rest, when events gather and the kernel wakes nobody for them.
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
	// What the runtime polls is the gate, never the events: an epoll instance
	// that tells once that there are some, and no more until it is armed again.
	events, gate *os.File
	conn, wakes  syscall.RawConn // lend their descriptors
	interrupted  atomic.Bool
	closed       atomic.Bool

	// The reader's:
	rest   time.Duration
	until  time.Time // the deadline that the gate has
	rested time.Time // when the rest is over; zero: there is none
	armed  bool
	buf    [16 << 10]byte
}

// Event is one of the kernel's.
type Event struct {
	Watch int    // by the number that Add gave
	Mask  uint32 // unix.IN_…
	Name  string // in a watched folder, of what the event is about; else empty
}

// Open makes a queue without watches.
func Open() (*Queue, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	q := &Queue{events: os.NewFile(uintptr(fd), "inotify")}
	err = unix.SetNonblock(fd, true) // not before, or the runtime would poll it
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
	err = unix.SetNonblock(fd, true) // for the runtime to poll it
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

// Rest sets how long events gather after a Read gave some, before the next
// gives more: by default not at all. It is for the goroutine that reads, and for
// the rests that begin from now on.
func (q *Queue) Rest(d time.Duration) { q.rest = d }

// Read waits for events, in the kernel's order. It returns none when until has
// come, which for the zero time is never, or after Interrupt.
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
	n, err := q.take()
	if n == 0 && err == nil {
		var came bool
		if came, _, err = q.wait(until, true); came {
			n, err = q.take()
		}
	}
	if n == 0 || err != nil {
		return nil, err
	}
	if q.rest > 0 && n < len(q.buf)/2 { // else there may be more
		q.rested = time.Now().Add(q.rest)
	}
	return parse(q.buf[:n]), nil
}

// take reads what there is.
func (q *Queue) take() (n int, err error) {
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

// wait waits until then for an Interrupt and, if armed, for events.
func (q *Queue) wait(until time.Time, armed bool) (came, interrupted bool, err error) {
	if err := q.arm(armed); err != nil {
		return false, false, err
	}
	if !until.Equal(q.until) {
		if err := q.gate.SetReadDeadline(until); err != nil && !q.closed.Load() {
			return false, false, err
		}
		q.until = until
	}
	// Looked at after the deadline was set, which may have undone Interrupt's.
	if q.interrupted.Swap(false) {
		q.until = past
		return false, true, nil
	}
	err = q.wakes.Read(func(fd uintptr) bool {
		var told [1]unix.EpollEvent
		n, _ := unix.EpollWait(int(fd), told[:], 0)
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

// arm has the gate tell of events once, or not.
func (q *Queue) arm(armed bool) error {
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

// past is a deadline that has passed, and is never one that Read is called with.
var past = time.Unix(1, 0)

// Interrupt ends the Read that is waiting, or else the next.
func (q *Queue) Interrupt() {
	q.interrupted.Store(true)
	_ = q.gate.SetReadDeadline(past)
}

// Close ends all watches, and the Read that is waiting with os.ErrClosed.
func (q *Queue) Close() error {
	q.closed.Store(true)
	return errors.Join(q.gate.Close(), q.events.Close())
}

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
