// Package tail reads and follows the log of a plugin, also while its oldest part is
// removed, which moves the rest, and when another program rotates the log.
package tail

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"pluginsupervisor/internal/logfile"
)

const (
	// checkInterval is the interval between checks of a followed log.
	checkInterval = 200 * time.Millisecond
	// readSize is the size of one read, in bytes.
	readSize = 256 << 10
	// lineGuess is the assumed length of a line, in bytes: the last n lines are first
	// searched in n times as much.
	lineGuess = 1 << 10
)

// ReadLines calls each with the last n lines of the log at a path, all of them if n
// is 0. It reads the files of a rotated log, PATH.1 and so on, first. The error wraps
// fs.ErrNotExist if there is no log.
func ReadLines(path string, n int, each func(line string) error) error {
	l := log{path: path}
	defer l.closeFiles()
	if err := l.openFiles(); err != nil {
		return err
	}
	return l.readLast(n, true, each)
}

// Follow calls each like ReadLines, and then with each new line, until ctx ends or
// each fails. The file need not exist.
func Follow(ctx context.Context, path string, n int, each func(line string) error) error {
	l := log{path: path}
	defer l.closeFiles()
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for first := true; ; first = false {
		err := l.openFiles()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if first {
			err = l.readLast(n, false, each)
		} else {
			err = l.readMore(false, each)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// log is a log with its rotated files.
type log struct {
	path  string
	files []*file // oldest first
}

// file is one file of a log.
type file struct {
	*logfile.Reader
	info fs.FileInfo
	rest []byte // the last line, without its line break, as far as it was read
	torn bool   // the beginning of that line was not read
	end  int64  // length of the file when it was opened
}

func (l *log) closeFiles() {
	for _, f := range l.files {
		f.Close()
	}
}

// openFiles opens the files that exist now. A file that is moved stays open, as its
// writer may continue. It is closed when it is removed and another log exists. The
// error is that of the log at the path.
func (l *log) openFiles() error {
	var now []*file
	var failed error
	for _, path := range append(listRotated(l.path), l.path) {
		f, err := l.openFile(path)
		if err == nil {
			now = append(now, f)
		} else if path == l.path {
			failed = err
		}
	}
	if failed != nil && !errors.Is(failed, fs.ErrNotExist) {
		return failed
	}
	for _, f := range l.files {
		switch {
		case slices.Contains(now, f):
		case failed != nil:
			now = slices.Insert(now, 0, f)
		default:
			f.Close()
		}
	}
	l.files = now
	if len(now) > 0 {
		return nil
	}
	return failed
}

// openFile returns the file at a path, which may be open already.
func (l *log) openFile(path string) (*file, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	for _, f := range l.files {
		if os.SameFile(f.info, info) {
			return f, nil
		}
	}
	r, err := logfile.OpenReader(path)
	if err != nil {
		return nil, err
	}
	info, err = r.File().Stat()
	end, failed := logfile.End(r.File())
	if err := errors.Join(err, failed); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return &file{Reader: r, info: info, end: end}, nil
}

// listRotated returns the rotated files of a log, PATH.N, highest number first.
func listRotated(path string) []string {
	number := func(p string) int {
		n, err := strconv.Atoi(strings.TrimPrefix(p, path+"."))
		if err != nil || n < 0 {
			return -1
		}
		return n
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	var found []string
	for _, e := range entries {
		p := filepath.Join(filepath.Dir(path), e.Name())
		if strings.HasPrefix(p, path+".") && number(p) >= 0 {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b string) int { return number(b) - number(a) })
	return found
}

// readLast calls each with the last n lines of all files, with all lines if n is 0.
func (l *log) readLast(n int, whole bool, each func(string) error) error {
	if n == 0 {
		return l.readMore(whole, each)
	}
	for size := int64(n) * lineGuess; ; size *= 4 {
		cut := false
		for _, f := range l.files {
			torn, err := f.SeekLast(size)
			if err != nil {
				return err
			}
			f.rest, f.torn, cut = nil, torn, cut || torn
		}
		var lines []string
		add := func(line string) error {
			if lines = append(lines, line); len(lines) > 2*n {
				lines = slices.Delete(lines, 0, len(lines)-n)
			}
			return nil
		}
		if err := l.readMore(whole, add); err != nil {
			return err
		}
		if len(lines) < n && cut {
			continue
		}
		for _, line := range lines[max(0, len(lines)-n):] {
			if err := each(line); err != nil {
				return err
			}
		}
		return nil
	}
}

// readMore calls each with the unread lines, file by file. With whole, it reads only
// as much as the files had when they were opened, also a last line without a line
// break.
func (l *log) readMore(whole bool, each func(string) error) error {
	for _, f := range l.files {
		if err := f.readMore(whole, each); err != nil {
			return err
		}
		if whole && len(f.rest) > 0 {
			if err := each(string(f.rest)); err != nil {
				return err
			}
		}
	}
	return nil
}

// readMore calls each with the unread lines. With whole, it stops at the length that
// the file had when it was opened, as its writer may be faster.
func (f *file) readMore(whole bool, each func(string) error) error {
	b := make([]byte, readSize)
	for !whole || f.Position() < f.end {
		n, err := f.Read(b)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if f.Gap() && len(f.rest) > 0 { // the rest of that line was removed
			if err := each(string(f.rest)); err != nil {
				return err
			}
			f.rest = nil
		}
		for line := range bytes.Lines(b[:n]) {
			f.rest = append(f.rest, line...)
			text, isWhole := bytes.CutSuffix(f.rest, []byte("\n"))
			if !isWhole {
				break
			}
			if !f.torn {
				if err := each(string(text)); err != nil {
					return err
				}
			}
			f.rest, f.torn = f.rest[:0], false
		}
	}
	return nil
}
