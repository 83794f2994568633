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

// Filter selects entries of the journal; the zero value selects all.
type Filter struct {
	Plugin string    // Key of the plugin; "": entries of any plugin and of none
	After  uint64    // only entries with a higher number
	Since  time.Time // only entries of that time or later
	Limit  int       // at most so many, the newest; 0: all
}

// Match reports whether an entry is selected. It ignores the limit.
func (f Filter) Match(e plugin.Entry) bool {
	return e.Seq > f.After && !e.At.Before(f.Since) && (f.Plugin == "" || f.Plugin == e.Plugin)
}

// SkippedError reports the number of damaged lines of a journal. The entries
// returned with it are valid.
type SkippedError struct{ Lines int }

func (e *SkippedError) Error() string {
	if e.Lines == 1 {
		return "skipped a damaged line of the journal"
	}
	return fmt.Sprintf("skipped %d damaged lines of the journal", e.Lines)
}

// ReadJournal returns the selected entries of the journal in a folder, the oldest
// first. A supervisor may write at the same time; the journal may not exist yet.
// With a *SkippedError it returns all entries that could be read.
func ReadJournal(dir string, f Filter) ([]plugin.Entry, error) {
	files, err := openFiles(dir)
	if err != nil {
		return nil, err
	}
	defer closeFiles(files)
	var found []plugin.Entry
	skipped, enough := 0, false
	for _, file := range files {
		info, err := file.Stat()
		if err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		err = readBackwards(file, info.Size(), func(line []byte) bool {
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

// openFiles opens the journal's files, the newer first. If a supervisor renames
// them meanwhile, it opens them again, so that it misses none.
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
				closeFiles(files)
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
		closeFiles(files)
	}
	return nil, errors.New("open journal: the supervisor renames it again and again")
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

var errNotRegular = errors.New("not a regular file")

// openJournal opens one of the files. It never blocks on a pipe.
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

// completeLength returns the length of r up to its last line break.
func completeLength(r io.ReaderAt, size int64) (int64, error) {
	b := make([]byte, chunkSize)
	for end := size; end > 0; {
		start := max(0, end-chunkSize)
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

// lastEntryNumber returns the highest entry number in the journal, 0 for none.
func lastEntryNumber(dir string) (uint64, error) {
	files, err := openFiles(dir)
	if err != nil {
		return 0, err
	}
	defer closeFiles(files)
	var last uint64
	for _, f := range files {
		info, err := f.Stat()
		if err != nil {
			return 0, fmt.Errorf("read journal: %w", err)
		}
		err = readBackwards(f, info.Size(), func(line []byte) bool {
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
