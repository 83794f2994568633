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

// wal is the log of the batches saved since the database was written. Each line
// is a CRC-32C of the generation and the JSON in 8 hex digits, a space and the
// JSON. The JSON of the first line is a walHeader, of the others an image.
type wal struct {
	f          *os.File
	size       int64
	generation uint64
}

type walHeader struct {
	Generation uint64 `json:"generation"`
}

// maxWAL is the maximum that is read of a log, in bytes; far above foldAt.
const maxWAL = 64 << 20

// openWAL opens or creates the log for writing. The error wraps
// boltfile.ErrDamaged if the path is not a regular file.
func openWAL(path string) (*wal, error) {
	// Without O_NONBLOCK a pipe at the path would block forever.
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

// walContent is the content of a log.
type walContent struct {
	generation uint64
	batches    []image
	torn       int  // bytes at the end that are not valid lines
	damaged    bool // these bytes are more than one incomplete line
}

// readWAL reads a log up to the first invalid line.
func readWAL(r io.Reader) (walContent, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxWAL))
	if err != nil {
		return walContent{}, fmt.Errorf("read log: %w", err)
	}
	return parseWAL(b), nil
}

func parseWAL(b []byte) walContent {
	var l walContent
	var header walHeader
	line, rest, ok := bytes.Cut(b, []byte("\n"))
	if ok && len(line) > 9 && json.Unmarshal(line[9:], &header) == nil && hasChecksum(line, header.Generation) {
		l.generation, b = header.Generation, rest
		for {
			line, rest, ok := bytes.Cut(b, []byte("\n"))
			var batch image
			if !ok || !hasChecksum(line, l.generation) || json.Unmarshal(line[9:], &batch) != nil {
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

// hasChecksum reports whether the checksum of a line is right.
func hasChecksum(line []byte, generation uint64) bool {
	return len(line) > 9 && line[8] == ' ' && bytes.Equal(line[:8], walChecksum(line[9:], generation))
}

func walChecksum(body []byte, generation uint64) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Checksum(strconv.AppendUint(nil, generation, 10), table)
	return fmt.Appendf(nil, "%08x", crc32.Update(sum, table, body))
}

// startGeneration empties the log and starts it with a new generation.
func (w *wal) startGeneration(generation uint64) error {
	if err := w.f.Truncate(0); err != nil {
		return fmt.Errorf("empty log: %w", err)
	}
	w.size, w.generation = 0, generation
	return w.writeLine(walHeader{generation})
}

// append writes a batch, unless it is empty. With sync, after nil, this batch and
// all before it are flushed to disk. After an error nothing may be appended again.
func (w *wal) append(batch image, sync bool) error {
	if len(batch) > 0 {
		if err := w.writeLine(batch); err != nil {
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

func (w *wal) writeLine(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode line of log: %w", err)
	}
	line := append(walChecksum(body, w.generation), ' ')
	line = append(append(line, body...), '\n')
	n, err := w.f.WriteAt(line, w.size)
	w.size += int64(n)
	if err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	return nil
}

func (w *wal) close() error { return w.f.Close() }
