package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/install/failure"
)

// The files of a download that may go on later, in a folder of its own.
const (
	Data     = "package.zip"  // what has come
	markName = "version.json" // which version of the server's file that is of
)

// maxMark is how much is read of such a mark, in bytes.
const maxMark = 4 << 10

// Resume downloads a web source to the file Data in a folder that no other
// process uses, and goes on with what an earlier call left there. It reports
// whether what came before an error is of use to a later call; if not, the
// folder is to be removed. What is whole in the end may still be made of two
// files: the caller verifies it.
func (f *Fetcher) Resume(ctx context.Context, source, folder string, progress Progress) (sums Sums, kept bool, err error) {
	s, err := f.open(filepath.Join(folder, Data), 0, progress)
	if err != nil {
		return Sums{}, false, err
	}
	s.mark = filepath.Join(folder, markName)
	err = f.fill(ctx, source, s)
	return s.sums(), err != nil && !s.refused && s.done > 0 && s.version.Validator != "", err
}

// takeUp reads what an earlier process left in the file, if it is known of
// which version that is.
func (s *sink) takeUp(ctx context.Context) error {
	if s.mark == "" {
		return nil
	}
	v, known := readVersion(s.mark)
	info, err := s.file.Stat()
	if err != nil {
		return failure.Because(failure.Storage, err)
	}
	have := info.Size()
	if v.Size >= 0 && have == v.Size {
		have-- // so that there is something to ask the server for, which tells whether it is the same file still
	}
	if !known || have <= 0 || v.Size >= 0 && have > v.Size {
		return s.restart(version{})
	}
	if _, err := io.Copy(&s.digests, contextReader{ctx, io.LimitReader(s.file, have)}); err != nil {
		if ctx.Err() == nil {
			return failure.Because(failure.Storage, fmt.Errorf("read partial download: %w", err))
		}
		s.version, s.done = v, have // it is kept
		return failure.New(failure.Download, "read partial download: %w", err)
	}
	if err := s.file.Truncate(have); err != nil {
		return failure.Because(failure.Storage, err)
	}
	s.version, s.total = v, v.Size
	s.progress(s.done, s.total)
	return nil
}

func readVersion(path string) (v version, ok bool) {
	file, err := os.Open(path)
	if err != nil {
		return version{}, false
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxMark))
	ok = err == nil && json.Unmarshal(text, &v) == nil && v.Validator != ""
	return v, ok
}

// saveVersion keeps of which version the bytes are that come from now on.
func (s *sink) saveVersion() error {
	if s.mark == "" {
		return nil
	}
	if s.version.Validator == "" { // they are of no use to a later process
		if err := os.Remove(s.mark); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(s.version)
	if err != nil {
		return err
	}
	return durable.WriteFile(s.mark, text, 0o600, s.step)
}
