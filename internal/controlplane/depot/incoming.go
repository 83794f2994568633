package depot

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

// Incoming is a file that has arrived and is not kept yet. Its owner calls
// Close in any case; what was not kept is gone then.
type Incoming struct {
	Size   int64  // bytes
	SHA256 string // hex, lower case
	MD5    string // likewise; for those who know nothing better

	depot *Depot
	file  *os.File
	kept  bool
}

// Receive takes all that source has, at most limit bytes: beyond them it stops
// with ErrTooLarge. Nothing is left of what fails. An error of the source comes
// back as it was; one of the disk's may wrap ErrFull.
func (d *Depot) Receive(source io.Reader, limit int64) (*Incoming, error) {
	f, err := os.CreateTemp(d.dir, arriving)
	if err != nil {
		return nil, fmt.Errorf("create file: %w", full(err))
	}
	in := &Incoming{depot: d, file: f}
	if err := in.receive(source, limit); err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

func (in *Incoming) receive(source io.Reader, limit int64) (err error) {
	digests := [...]hash.Hash{sha256.New(), md5.New()}
	buffer := make([]byte, 256<<10)
	to := io.MultiWriter(disk{in.file}, digests[0], digests[1])
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
		return fmt.Errorf("sync file: %w", full(err))
	}
	in.SHA256, in.MD5 = hex.EncodeToString(digests[0].Sum(nil)), hex.EncodeToString(digests[1].Sum(nil))
	return nil
}

// disk tells the disk's errors from the source's.
type disk struct{ file *os.File }

func (d disk) Write(p []byte) (int, error) {
	n, err := d.file.Write(p)
	if err != nil {
		err = fmt.Errorf("write file: %w", full(err))
	}
	return n, err
}

// ReadAt reads from what has arrived.
func (in *Incoming) ReadAt(p []byte, offset int64) (int, error) { return in.file.ReadAt(p, offset) }

// Keep gives the file its name; where it has one already, nothing changes. When
// Keep returns nil, a loss of power does not undo it.
func (in *Incoming) Keep() error {
	path, err := in.depot.path(in.SHA256)
	if err != nil {
		return err
	}
	if err := os.Rename(in.file.Name(), path); err != nil {
		return fmt.Errorf("name file: %w", full(err))
	}
	in.kept = true
	return durable.FlushFolder(filepath.Dir(path))
}

// Close removes what was not kept.
func (in *Incoming) Close() error {
	err := in.file.Close()
	if !in.kept {
		err = errors.Join(err, os.Remove(in.file.Name()))
	}
	return err
}
