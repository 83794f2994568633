package packagestore

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"pluginsupervisor/internal/durable"
)

// Incoming is a received file that is not kept yet. The caller always calls Close,
// which removes a file that was not kept.
type Incoming struct {
	Size   int64  // bytes
	SHA256 string // hex, lower case
	MD5    string // hex, lower case; for clients that know no SHA-256

	store *Store
	file  *os.File
	kept  bool
}

// Receive copies source to a new file. It fails with ErrTooLarge beyond limit
// bytes. No file is left after an error. An error of the source is returned as it
// is; one of the disk may wrap ErrFull.
func (d *Store) Receive(source io.Reader, limit int64) (*Incoming, error) {
	f, err := os.CreateTemp(d.dir, incomingPrefix)
	if err != nil {
		return nil, fmt.Errorf("create file: %w", wrapFull(err))
	}
	in := &Incoming{store: d, file: f}
	if err := in.copySource(source, limit); err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

func (in *Incoming) copySource(source io.Reader, limit int64) (err error) {
	digests := [...]hash.Hash{sha256.New(), md5.New()}
	buffer := make([]byte, 256<<10)
	to := io.MultiWriter(diskWriter{in.file}, digests[0], digests[1])
	in.Size, err = io.CopyBuffer(to, io.LimitReader(source, limit), buffer)
	if err != nil {
		return err
	}
	if in.Size == limit {
		if n, err := io.ReadAtLeast(source, buffer[:1], 1); n > 0 {
			return ErrTooLarge
		} else if !errors.Is(err, io.EOF) {
			return err
		}
	}
	if err := in.file.Sync(); err != nil {
		return fmt.Errorf("sync file: %w", wrapFull(err))
	}
	in.SHA256, in.MD5 = hex.EncodeToString(digests[0].Sum(nil)), hex.EncodeToString(digests[1].Sum(nil))
	return nil
}

// diskWriter marks the errors of the disk, which differ from those of the source.
type diskWriter struct{ file *os.File }

func (d diskWriter) Write(p []byte) (int, error) {
	n, err := d.file.Write(p)
	if err != nil {
		err = fmt.Errorf("write file: %w", wrapFull(err))
	}
	return n, err
}

// ReadAt reads from the received file.
func (in *Incoming) ReadAt(p []byte, offset int64) (int, error) { return in.file.ReadAt(p, offset) }

// Keep gives the file its name, and replaces an equal one. When Keep returns nil,
// a power failure does not undo it.
func (in *Incoming) Keep() error {
	path, err := in.store.filePath(in.SHA256)
	if err != nil {
		return err
	}
	if err := os.Rename(in.file.Name(), path); err != nil {
		return fmt.Errorf("name file: %w", wrapFull(err))
	}
	in.kept = true
	return durable.FlushFolder(filepath.Dir(path))
}

// Close removes the file if it was not kept.
func (in *Incoming) Close() error {
	err := in.file.Close()
	if !in.kept {
		err = errors.Join(err, os.Remove(in.file.Name()))
	}
	return err
}
