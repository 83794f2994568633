package state

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// Filter chooses entries of the journal; the zero value chooses all.
type Filter struct {
	Plugin string    // its Key; "": of any plugin and of none
	After  uint64    // only entries with a higher number
	Since  time.Time // only entries of that time or later
	Limit  int       // at most so many, the newest; 0: all
}

// Match tells whether an entry is chosen, the limit aside.
func (f Filter) Match(e plugin.Entry) bool {
	return e.Seq > f.After && !e.At.Before(f.Since) && (f.Plugin == "" || f.Plugin == e.Plugin)
}

// SkippedError comes with the entries of a journal that is damaged: they are
// good, and Lines others could not be read.
type SkippedError struct{ Lines int }

func (e *SkippedError) Error() string {
	if e.Lines == 1 {
		return "skipped a damaged line of the journal"
	}
	return fmt.Sprintf("skipped %d damaged lines of the journal", e.Lines)
}

// ReadJournal returns the chosen entries of the journal in a folder, the
// oldest first. It works with and without a supervisor that writes; there may
// be no journal yet. A *SkippedError comes with all entries that could be read.
func ReadJournal(dir string, f Filter) ([]plugin.Entry, error) {
	files, err := openFiles(dir)
	if err != nil {
		return nil, err
	}
	defer closeAll(files)
	var found []plugin.Entry
	skipped, enough := 0, false
	for _, file := range files {
		info, err := file.Stat()
		if err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		err = backwards(file, info.Size(), func(line []byte) bool {
			e, ok := decodeLine(line)
			switch {
			case !ok:
				skipped++
			case f.Match(e):
				found = append(found, e)
			}
			enough = f.Limit > 0 && len(found) == f.Limit || ok && e.Seq <= f.After
			return !enough
		})
		if err != nil {
			return nil, err
		}
		if enough {
			break
		}
	}
	slices.Reverse(found)
	if skipped > 0 {
		return found, &SkippedError{skipped}
	}
	return found, nil
}

// openFiles opens the journal's files, the newer first. A supervisor may
// rename them meanwhile: then it opens them again, lest it miss one.
func openFiles(dir string) ([]*os.File, error) {
	path := layout.Journal(dir)
	for range 100 {
		var files []*os.File
		var newer fs.FileInfo
		for _, name := range []string{path, layout.OlderJournal(dir)} {
			f, info, err := openJournal(name, os.O_RDONLY)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				closeAll(files)
				return nil, fmt.Errorf("open journal: %w", err)
			}
			if name == path {
				newer = info
			}
			files = append(files, f)
		}
		now, err := os.Stat(path)
		if newer == nil && err != nil || newer != nil && err == nil && os.SameFile(newer, now) {
			return files, nil
		}
		closeAll(files)
	}
	return nil, errors.New("open journal: it is renamed all the time")
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

var errNotRegular = errors.New("not a regular file")

// openJournal opens one of the files, and nothing that would block.
func openJournal(path string, flags int) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, flags|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ENXIO) {
		return nil, nil, fmt.Errorf("%s: %w", path, errNotRegular)
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", path, errNotRegular)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// wholeLines is the length of r up to its last line's end.
func wholeLines(r io.ReaderAt, size int64) (int64, error) {
	b := make([]byte, chunk)
	for end := size; end > 0; {
		start := max(0, end-chunk)
		n, err := r.ReadAt(b[:end-start], start)
		if err != nil && err != io.EOF {
			return 0, fmt.Errorf("read journal: %w", err)
		}
		if i := bytes.LastIndexByte(b[:n], '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		end = start
	}
	return 0, nil
}

// lastEntry is the highest number in the journal, 0 if there is none.
func lastEntry(dir string) (uint64, error) {
	files, err := openFiles(dir)
	if err != nil {
		return 0, err
	}
	defer closeAll(files)
	var last uint64
	for _, f := range files {
		info, err := f.Stat()
		if err != nil {
			return 0, fmt.Errorf("read journal: %w", err)
		}
		err = backwards(f, info.Size(), func(line []byte) bool {
			e, ok := decodeLine(line)
			last = max(last, e.Seq)
			return !ok
		})
		if err != nil {
			return 0, err
		}
	}
	return last, nil
}
