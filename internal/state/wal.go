package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/boltfile"
)

// wal is the log of what was saved since the database was written. Each line
// is a CRC-32C of the generation and the JSON, in 8 hex digits, a blank and
// the JSON; the first line's JSON is a walHeader, the others' an image.
type wal struct {
	f          *os.File
	size       int64
	generation uint64
}

type walHeader struct {
	Generation uint64 `json:"generation"`
}

// maxWAL is the longest log that is read, in bytes: far above what it is folded at.
const maxWAL = 64 << 20

// openWAL opens the log for writing, creating it. It wraps
// boltfile.ErrDamaged when something else is in its place.
func openWAL(path string) (*wal, error) {
	// Without O_NONBLOCK a pipe in the file's place would block for ever.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ENXIO) {
		return nil, fmt.Errorf("%w: %s is not a regular file", boltfile.ErrDamaged, path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is not a regular file", boltfile.ErrDamaged, path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &wal{f: f}, nil
}

// logged is what a log held.
type logged struct {
	generation uint64
	batches    []image
	torn       int  // bytes at the end that no line could be made of
	damaged    bool // and they are more than one line that was cut short
}

// readWAL reads a log as far as it is good.
func readWAL(r io.Reader) (logged, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxWAL))
	if err != nil {
		return logged{}, fmt.Errorf("read log: %w", err)
	}
	return parseWAL(b), nil
}

func parseWAL(b []byte) logged {
	var l logged
	var header walHeader
	line, rest, ok := bytes.Cut(b, []byte("\n"))
	if ok && len(line) > 9 && json.Unmarshal(line[9:], &header) == nil && checked(line, header.Generation) {
		l.generation, b = header.Generation, rest
		for {
			line, rest, ok := bytes.Cut(b, []byte("\n"))
			var batch image
			if !ok || !checked(line, l.generation) || json.Unmarshal(line[9:], &batch) != nil {
				break
			}
			l.batches, b = append(l.batches, batch), rest
		}
	}
	l.torn = len(b)
	newline := bytes.IndexByte(b, '\n')
	l.damaged = newline >= 0 && newline < len(b)-1
	return l
}

// checked tells whether a line has the checksum it should.
func checked(line []byte, generation uint64) bool {
	return len(line) > 9 && line[8] == ' ' && bytes.Equal(line[:8], checksum(line[9:], generation))
}

func checksum(body []byte, generation uint64) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Checksum(strconv.AppendUint(nil, generation, 10), table)
	return fmt.Appendf(nil, "%08x", crc32.Update(sum, table, body))
}

// restart empties the log and begins it under a new generation.
func (w *wal) restart(generation uint64) error {
	if err := w.f.Truncate(0); err != nil {
		return fmt.Errorf("empty log: %w", err)
	}
	w.size, w.generation = 0, generation
	return w.write(walHeader{generation})
}

// append adds a batch, unless it is empty. With sync it, and every one before it,
// is on the disk when nil is returned. After an error the log must not be appended to again.
func (w *wal) append(batch image, sync bool) error {
	if len(batch) > 0 {
		if err := w.write(batch); err != nil {
			return err
		}
	}
	if !sync {
		return nil
	}
	if err := unix.Fdatasync(int(w.f.Fd())); err != nil {
		return fmt.Errorf("flush log: %w", err)
	}
	return nil
}

func (w *wal) write(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode line of log: %w", err)
	}
	line := append(checksum(body, w.generation), ' ')
	line = append(append(line, body...), '\n')
	n, err := w.f.WriteAt(line, w.size)
	w.size += int64(n)
	if err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	return nil
}

func (w *wal) close() error { return w.f.Close() }
