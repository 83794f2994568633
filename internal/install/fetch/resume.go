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

// The files in the folder of a partial download.
const (
	Data        = "package.zip"  // the received bytes
	versionName = "version.json" // the version of the server's file they belong to
)

// maxVersionFile is the maximum that is read of a version file, in bytes.
const maxVersionFile = 4 << 10

// Resume downloads a web source to the file Data in a folder that no other
// process uses. It continues the part that an earlier call left there. After an
// error, kept reports whether a later call can continue; if not, the caller
// removes the folder. A complete file may be composed of two versions: the caller
// verifies it.
func (f *Fetcher) Resume(ctx context.Context, source, folder string, progress Progress) (sums Sums, kept bool, err error) {
	s, err := f.openSink(filepath.Join(folder, Data), 0, progress)
	if err != nil {
		return Sums{}, false, err
	}
	s.versionFile = filepath.Join(folder, versionName)
	err = f.fillSink(ctx, source, s)
	return s.sums(), err != nil && !s.refused && s.done > 0 && s.version.Validator != "", err
}

// loadPartial digests the part that an earlier process left in the file, if its
// version is known.
func (s *sink) loadPartial(ctx context.Context) error {
	if s.versionFile == "" {
		return nil
	}
	v, known := readVersion(s.versionFile)
	info, err := s.file.Stat()
	if err != nil {
		return failure.Because(failure.Storage, err)
	}
	have := info.Size()
	if v.Size >= 0 && have == v.Size {
		have-- // request one byte, so that the server confirms the version
	}
	if !known || have <= 0 || v.Size >= 0 && have > v.Size {
		return s.startOver(version{})
	}
	if _, err := io.Copy(&s.digests, contextReader{ctx, io.LimitReader(s.file, have)}); err != nil {
		if ctx.Err() == nil {
			return failure.Because(failure.Storage, fmt.Errorf("read partial download: %w", err))
		}
		s.version, s.done = v, have // the part is kept
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
	text, err := io.ReadAll(io.LimitReader(file, maxVersionFile))
	ok = err == nil && json.Unmarshal(text, &v) == nil && v.Validator != ""
	return v, ok
}

// saveVersion writes the version of the bytes that follow.
func (s *sink) saveVersion() error {
	if s.versionFile == "" {
		return nil
	}
	if s.version.Validator == "" { // a later process cannot resume
		if err := os.Remove(s.versionFile); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(s.version)
	if err != nil {
		return err
	}
	return durable.WriteFile(s.versionFile, text, 0o600, s.step)
}
