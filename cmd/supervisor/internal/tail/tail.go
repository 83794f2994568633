// Package tail reads the end of a log, and goes on reading while its writer
// goes on writing: also when the log is cut to its end in place, as the
// supervisor does with logs that grow too long, or replaced by another file.
//
// What tells a cut from a growth is the content: the reader remembers the last
// bytes it has read, and where they are not at their place any more it looks
// for them, and goes on behind them. So no line is read twice, and none is
// missed that is still there.
package tail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// window is how much of a file's end is read at most, in bytes; the
	// supervisor keeps logs far below that.
	window = 4 << 20
	// remembered is how many of the last bytes are remembered.
	remembered = 4 << 10
	// every is how often a followed file is looked at.
	every = 200 * time.Millisecond
)

// Lines calls each with the last n lines of the file, all of them if n is 0.
// Nothing is an error that wraps fs.ErrNotExist.
func Lines(path string, n int, each func(line string) error) error {
	r := reader{path: path}
	b, err := r.more()
	if err != nil {
		return err
	}
	lines := r.lines(b)
	if len(r.rest) > 0 {
		lines = append(lines, r.rest)
	}
	return tell(last(lines, n), each)
}

// Follow is Lines that then goes on with each line that is written, until ctx
// ends or each fails. The file need not be there yet.
func Follow(ctx context.Context, path string, n int, each func(line string) error) error {
	r := reader{path: path}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for first := true; ; first = false {
		b, err := r.more()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		lines := r.lines(b)
		if first {
			lines = last(lines, n)
		}
		if err := tell(lines, each); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func last(lines [][]byte, n int) [][]byte {
	if n == 0 || len(lines) <= n {
		return lines
	}
	return lines[len(lines)-n:]
}

func tell(lines [][]byte, each func(string) error) error {
	for _, line := range lines {
		if err := each(string(line)); err != nil {
			return err
		}
	}
	return nil
}

type reader struct {
	path string
	at   int64  // up to where it was read
	seen []byte // the bytes before that
	rest []byte // of them, the line that has no end yet
}

// more reads what was not read yet.
func (r *reader) more() ([]byte, error) {
	// Without O_NONBLOCK a pipe in the file's place would block for ever.
	f, err := os.OpenFile(r.path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", r.path)
	}
	size := info.Size()
	if !r.inPlace(f, size) {
		if err := r.find(f, size); err != nil {
			return nil, err
		}
	}
	b, err := readAt(f, max(r.at, size-window), size)
	if err != nil {
		return nil, err
	}
	r.at = max(r.at, size-window) + int64(len(b))
	r.seen = append(r.seen, b...)
	r.seen = bytes.Clone(r.seen[max(0, len(r.seen)-remembered):])
	return b, nil
}

// inPlace tells whether the bytes that were read are still where they were.
func (r *reader) inPlace(f io.ReaderAt, size int64) bool {
	if size < r.at {
		return false
	}
	b, err := readAt(f, r.at-int64(len(r.seen)), r.at)
	return err == nil && bytes.Equal(b, r.seen)
}

// find goes to behind the bytes that were read, or to the beginning of what
// must then be another file.
func (r *reader) find(f io.ReaderAt, size int64) error {
	start := max(0, size-window)
	b, err := readAt(f, start, size)
	if err != nil {
		return err
	}
	if i := bytes.LastIndex(b, r.seen); i >= 0 && len(r.seen) > 0 {
		r.at = start + int64(i+len(r.seen))
		return nil
	}
	r.at, r.seen, r.rest = 0, nil, nil
	return nil
}

// readAt reads from start to end, or less when the file ends before.
func readAt(f io.ReaderAt, start, end int64) ([]byte, error) {
	b := make([]byte, end-start)
	n, err := f.ReadAt(b, start)
	if err != nil && err != io.EOF {
		return nil, err
	}
	return b[:n], nil
}

// lines are the lines that end in b.
func (r *reader) lines(b []byte) [][]byte {
	all := bytes.Split(append(r.rest, b...), []byte("\n"))
	r.rest = all[len(all)-1]
	return all[:len(all)-1]
}
