package logfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Reader reads a log while it is written and shortened. It returns each byte once
// and in order. For bytes that were removed before they were read it returns the
// mark.
type Reader struct {
	f    *os.File
	pos  int64 // of the next byte
	base int64 // position of the file's first byte at the last read
	gap  bool
}

// OpenReader opens a log for reading from its beginning.
func OpenReader(path string) (*Reader, error) { return openReader(path, unix.O_NOFOLLOW) }

func openReader(path string, flag int) (*Reader, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|flag, 0)
	if err != nil {
		return nil, err
	}
	if _, err := regularSize(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Reader{f: f}, nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.f.Close() }

// File returns the open file.
func (r *Reader) File() *os.File { return r.f }

// Position returns the position of the next byte.
func (r *Reader) Position() int64 { return r.pos }

// Gap reports whether bytes are missing between the last two reads.
func (r *Reader) Gap() bool { return r.gap }

// Pause and number of retries while the content is being moved.
const (
	movePause = 5 * time.Millisecond
	moveLimit = 400
)

// Read reads the next bytes. At the end of the file it returns io.EOF; later calls
// return what was appended.
func (r *Reader) Read(b []byte) (int, error) {
	for tries := 0; ; tries++ {
		before, err := readMark(r.f)
		if err != nil {
			return 0, err
		}
		size, err := regularSize(r.f)
		if err != nil {
			return 0, err
		}
		pos := r.pos
		switch end := before.dropped + size; {
		case pos < before.dropped:
			pos = before.dropped
		case pos > end && before.dropped <= r.base: // another program truncated the file
			pos = before.dropped
		case pos > end: // bytes were lost when the content was moved
			pos = end
		}
		n, err := r.f.ReadAt(b, pos-before.dropped)
		if err != nil && err != io.EOF {
			return 0, fmt.Errorf("read log: %w", err)
		}
		after, err := readMark(r.f)
		if err != nil {
			return 0, err
		}
		if (before != after || after.moving) && tries < moveLimit {
			time.Sleep(movePause)
			continue
		}
		r.gap = pos != r.pos
		r.pos, r.base = pos+int64(n), before.dropped
		if n == 0 && len(b) > 0 {
			return 0, io.EOF
		}
		return n, nil
	}
}

// SeekLast sets the position to the last n bytes of the file, and reports whether
// there are bytes before them.
func (r *Reader) SeekLast(n int64) (bool, error) {
	end, err := r.endPosition()
	if err != nil {
		return false, err
	}
	m, err := readMark(r.f)
	r.pos, r.base = max(m.dropped, end-n), m.dropped
	return r.pos > m.dropped, err
}

// endPosition returns the position of the file's end: the number of all bytes ever
// written to it.
func (r *Reader) endPosition() (int64, error) {
	for tries := 0; ; tries++ {
		before, err := readMark(r.f)
		if err != nil {
			return 0, err
		}
		size, err := regularSize(r.f)
		if err != nil {
			return 0, err
		}
		after, err := readMark(r.f)
		if err != nil || before == after && !after.moving || tries == moveLimit {
			return after.dropped + size, err
		}
		time.Sleep(movePause)
	}
}

// End returns the position of the end of a log: the number of all bytes ever written
// to it. The log may be open for writing only.
func End(log *os.File) (int64, error) {
	r, err := reopenFile(log)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return r.endPosition()
}

// TailFrom returns the last bytes of a log behind a position, at most limit. The log
// may be open for writing only.
func TailFrom(log *os.File, from, limit int64) (string, error) {
	r, err := reopenFile(log)
	if err != nil {
		return "", err
	}
	defer r.Close()
	return r.readTail(from, limit)
}

// reopenFile opens an open file for reading. It does not use the path, where there
// may be another file.
func reopenFile(log *os.File) (*Reader, error) {
	r, err := openReader(fmt.Sprintf("/proc/self/fd/%d", log.Fd()), 0)
	if err != nil {
		return nil, fmt.Errorf("open log for reading: %w", err)
	}
	return r, nil
}

// Tail returns the last bytes of a log behind its last event, at most limit; "" if it
// cannot be read.
func Tail(path string, limit int64) string {
	r, err := OpenReader(path)
	if err != nil {
		return ""
	}
	defer r.Close()
	s, err := r.readTail(0, limit)
	if err != nil {
		return ""
	}
	return cutEvents(s)
}

func (r *Reader) readTail(from, limit int64) (string, error) {
	end, err := r.endPosition()
	if err != nil {
		return "", err
	}
	if r.pos = max(from, end-limit); from > end { // another program truncated the file
		r.pos = max(0, end-limit)
	}
	b := make([]byte, limit)
	n, err := io.ReadFull(r, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return "", fmt.Errorf("read log: %w", err)
	}
	return string(b[:n]), nil
}
